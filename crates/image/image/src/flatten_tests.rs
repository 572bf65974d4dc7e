use longshore_oci::media_type::ImageFormat;

use super::*;
use crate::layer::Entry;
use crate::layout::Layout;
use crate::samples::{self, file};

fn tree_of(layers: &[&[(Entry, &[u8])]]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let image = samples::store(&layout, &samples::draft(&layout, layers).finish(ImageFormat::Oci).unwrap());
    let tree = flatten(&image, Contents::Hashed, &Events::silent()).unwrap();
    tree.files().map(|(path, file)| format!("{} {}", path.display(), file.layer)).collect()
}

fn directory(path: &str) -> (Entry, &'static [u8]) {
    (Entry::directory(path, 0o755), b"")
}

fn hardlink(path: &str, target: &str) -> (Entry, &'static [u8]) {
    let kind = crate::layer::EntryKind::Hardlink { target: target.into() };
    (Entry { kind, ..Entry::file(path, 0o644, 0) }, b"")
}

#[test]
fn later_layers_hide_and_replace() {
    let below = [
        directory("a"),
        file("a/x", b"1"),
        file("a/y", b"2"),
        directory("a/d"),
        file("a/d/z", b"3"),
        file("b", b"4"),
    ];
    type Case<'a> = (&'a str, &'a [(Entry, &'a [u8])], &'a [&'a str]);
    let cases: [Case<'_>; 8] = [
        ("nothing", &[], &["a 0", "a/d 0", "a/d/z 0", "a/x 0", "a/y 0", "b 0"]),
        ("a file again", &[file("a/x", b"5")], &["a 0", "a/d 0", "a/d/z 0", "a/x 1", "a/y 0", "b 0"]),
        ("a folder again", &[directory("a")], &["a 1", "a/d 0", "a/d/z 0", "a/x 0", "a/y 0", "b 0"]),
        ("a whiteout of a file", &[file("a/.wh.x", b"")], &["a 0", "a/d 0", "a/d/z 0", "a/y 0", "b 0"]),
        ("a whiteout of a folder", &[file(".wh.a", b"")], &["b 0"]),
        (
            "an opaque folder, said last",
            &[directory("a"), file("a/new", b""), file("a/.wh..wh..opq", b"")],
            &["a 1", "a/new 1", "b 0"],
        ),
        ("an opaque root", &[file("new", b""), file(".wh..wh..opq", b"")], &["new 1"]),
        ("a file in a folder's place", &[file("a", b"")], &["a 1", "b 0"]),
    ];
    for (name, above, expected) in cases {
        assert_eq!(tree_of(&[&below, above]), expected, "{name}");
    }
    // A whiteout hides what is below its layer, not what the layer itself has.
    assert_eq!(tree_of(&[&below, &[file("a/x", b"5"), file(".wh.a", b"")]]), ["a/x 1", "b 0"]);
    // What was hidden may come again.
    assert_eq!(tree_of(&[&below, &[file(".wh.a", b"")], &[directory("a")]]), ["a 2", "b 0"]);
}

#[test]
fn files_have_all_their_facts() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let mut owned = Entry::file("bin/app", 0o4755, 3).owned_by(7, 8);
    owned.xattrs.insert("user.a".to_owned(), b"b".to_vec());
    let layers: &[&[(Entry, &[u8])]] = &[
        &[(owned, b"abc"), (Entry::symlink("link", "/bin/app"), b"")],
        &[hardlink("again", "/bin/app".trim_start_matches('/')), hardlink("third", "again")],
    ];
    let image = samples::store(&layout, &samples::draft(&layout, layers).finish(ImageFormat::Oci).unwrap());
    let tree = flatten(&image, Contents::Hashed, &Events::silent()).unwrap();
    let app = tree.get("/bin/app").unwrap();
    assert_eq!((app.kind, app.mode, app.uid, app.gid, app.size), (FileKind::File, 0o4755, 7, 8, 3));
    assert_eq!(app.content, Some(Digest::of(b"abc")));
    assert_eq!(app.xattrs["user.a"], b"b");
    assert_eq!(tree.get("link").unwrap().target.as_deref(), Some(Path::new("/bin/app")));
    for (name, target) in [("again", "bin/app"), ("third", "bin/app")] {
        let link = tree.get(name).unwrap();
        assert_eq!((link.kind, link.mode, link.size, link.layer), (FileKind::Hardlink, 0o4755, 3, 1));
        assert_eq!(link.target.as_deref(), Some(Path::new(target)));
        assert_eq!(link.content, app.content);
    }
    let names = flatten(&image, Contents::Skipped, &Events::silent()).unwrap();
    assert_eq!((names.len(), names.get("bin/app").unwrap().content.clone()), (tree.len(), None));
}

#[test]
fn an_altered_layer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, image) = samples::image(folder.path());
    let layer = image.manifest().unwrap().layers[1].clone();
    longshore_files::write_atomic(&layout.blob_path(&layer.digest), b"altered").unwrap();
    let error = flatten(&image, Contents::Hashed, &Events::silent()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read the files of layer {}", layer.digest));
}
