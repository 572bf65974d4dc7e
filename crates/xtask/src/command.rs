//! Starting programs: from the repository's folder, shown before they run, with errors that name them.

use std::fmt::Display;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An error that ends the command; these are messages for the developer who typed it.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// The repository's folder.
pub(crate) fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Cargo's target folder.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Puts what was being done before an error's text.
pub(crate) fn context<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Writes a file that nobody reads before it is complete.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::File::create(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_ref()))
        .map_err(context(format!("cannot write {}", path.display())))
}

/// A command in the repository's folder.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository()).stdin(Stdio::null());
    command
}

/// Cargo, as the one that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo sets for the program it runs would be taken for this one's settings by the next cargo.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// The command line, as it is shown.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Shows a command, runs it, and says whether it succeeded.
pub(crate) fn run(command: &mut Command) -> Result<bool> {
    let line = line(command);
    println!("$ {line}");
    Ok(command.status().map_err(context(format!("cannot run {line}")))?.success())
}

/// Runs a command and returns its stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command.output().map_err(context(format!("cannot run {line}")))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{line} ended with {}\n{}", output.status, stderr.trim_end()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows a command, passes each line of its stdout on as it comes, and says whether it succeeded.
pub(crate) fn lines(command: &mut Command, mut take: impl FnMut(&str)) -> Result<bool> {
    let line = line(command);
    println!("$ {line}");
    let failed = |error| format!("cannot run {line}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n') {
            take(&String::from_utf8_lossy(&bytes.map_err(failed)?));
        }
    }
    Ok(child.wait().map_err(failed)?.success())
}

/// Where a program is, if it is on the PATH or where Debian keeps the system's programs.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The youngest longshore of a profile. The machine's own target stands in the path, since .cargo/config.toml names it.
pub(crate) fn newest_binary(profile: &str) -> Result<PathBuf> {
    let target = target_folder();
    let entries = std::fs::read_dir(&target).map_err(context(format!("cannot list {}", target.display())))?;
    let mut built: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join(profile).join("longshore")))
        .filter(|path| path.is_file())
        .collect();
    built.sort_by_key(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok());
    built.pop().ok_or_else(|| format!("no {profile}/longshore stands under {}", target.display()))
}
