use std::process::Command;
use std::time::Duration;

use longshore_testkit::{Dockerd, Folder, Ran, TestResult, run};

const SOURCE: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%d %d\n", (int)getuid(), access("/", W_OK)); return 7; }
"#;

pub(crate) fn runs_a_container() -> TestResult {
    let engine = Dockerd::start()?;
    let folder = Folder::new()?;
    folder.write("who.c", SOURCE)?;
    let shell = |script: &str| {
        run(Command::new("sh").args(["-c", script]).current_dir(folder.path()), Duration::from_secs(60))
            .and_then(Ran::succeeded)
    };
    shell("$(command -v gcc || command -v cc) -static -o who who.c && tar -cf who.tar who")?;
    let archive = folder.join("who.tar").display().to_string();
    engine.docker(["import", archive.as_str(), "who:1.0"])?.succeeded()?;
    let options =
        ["run", "--rm", "--user=65532", "--read-only", "--network=none", "--memory=64m", "who:1.0", "/who"];
    let ran = engine.docker(options)?.expect_code(7)?;
    assert_eq!(ran.stdout, "65532 -1\n");
    let ran = engine.docker(["run", "--rm", "--network=host", "who:1.0", "/who"])?.expect_code(7)?;
    assert_eq!(ran.stdout, "0 0\n");

    let socket = engine.socket();
    let own = socket.parent().map(|folder| folder.to_owned()).unwrap_or_default();
    drop(engine);
    assert!(!own.exists(), "{} is still there", own.display());
    Ok(())
}
