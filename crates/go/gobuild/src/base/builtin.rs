//! The base that longshore carries: what a static Go program may look for, and nothing that runs.

use std::path::PathBuf;

use super::BaseFile;

const PASSWD: &str = "\
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
nonroot:x:65532:
nobody:x:65534:
";
/// Without it, Go's resolver asks DNS before /etc/hosts (net/conf.go).
const NSSWITCH: &str = "hosts: files dns\n";

/// Users and groups, the resolver's order, a home and a /tmp that everybody may write to. Sorted by path.
pub(crate) fn system_files() -> Vec<BaseFile> {
    let folder = |path: &str, mode| BaseFile::Folder(PathBuf::from(path), mode, 0);
    let file = |path: &str, text: &str| BaseFile::File(PathBuf::from(path), text.as_bytes().to_vec());
    vec![
        folder("etc", 0o755),
        file("etc/group", GROUP),
        file("etc/nsswitch.conf", NSSWITCH),
        file("etc/passwd", PASSWD),
        folder("home", 0o755),
        BaseFile::Folder(PathBuf::from("home/nonroot"), 0o700, 65532),
        folder("tmp", 0o1777),
    ]
}

/// Whether `user[:group]` means somebody in the built-in base: numbers always do.
pub(crate) fn has_user(user: &str) -> bool {
    let known = |name: &str| {
        let number =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) && name.parse::<u32>().is_ok();
        number || matches!(name, "root" | "nonroot" | "nobody")
    };
    let (user, group) = user.split_once(':').unwrap_or((user, "0"));
    known(user) && known(group)
}
