//! The user's editor with a file of its own. Must not know objects.
//! Kubernetes: kubectl's `editor.Editor`.

use crate::cli::context::CliError;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where an editor is told, the first that is wins.
const VARIABLES: [&str; 2] = ["KUBE_EDITOR", "EDITOR"];
/// The editor where none is told.
const DEFAULT: &str = "vi";
/// The shell where none is told.
const SHELL: &str = "/bin/bash";

/// Lets the user edit `text`; answers what became of it, and the file that holds it.
pub(super) fn edit(text: &str, ending: &str) -> Result<(String, PathBuf), CliError> {
    let name = format!("wkube-edit-{}{ending}", uuid::Uuid::new_v4().simple());
    let path = std::env::temp_dir().join(name);
    let failed = |error: std::io::Error| CliError::new(format!("{}: {error}", path.display()));
    // What is edited may be secret.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)?;
    let told = VARIABLES
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|editor| !editor.is_empty());
    open(told.as_deref().unwrap_or(DEFAULT), &path)?;
    let edited = std::fs::read(&path).map_err(failed)?;
    Ok((String::from_utf8_lossy(&edited).into_owned(), path))
}

fn open(editor: &str, path: &Path) -> Result<(), CliError> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let shell = shell.unwrap_or_else(|| SHELL.into());
    let words = words(editor, &shell, path);
    let Some((program, arguments)) = words.split_first() else {
        let what = format!("no editor defined, can't open {}", path.display());
        return Err(CliError::new(what));
    };
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let what = format!("unable to launch the editor {editor:?}");
            Err(CliError::new(what))
        }
        _ => {
            let what = format!("there was a problem with the editor {editor:?}");
            Err(CliError::new(what))
        }
    }
}

/// The command that opens `path`: quotes are for a shell to read.
fn words(editor: &str, shell: &OsStr, path: &Path) -> Vec<OsString> {
    if !editor.contains(' ') || !editor.contains(['"', '\'', '\\']) {
        let mut words: Vec<OsString> = editor.split(' ').map(Into::into).collect();
        words.push(path.into());
        return words;
    }
    let line = format!("{editor} {:?}", path.display().to_string());
    vec![shell.to_owned(), "-c".into(), line.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_with_flags_and_with_quotes() {
        let of = |editor: &str| words(editor, OsStr::new("/bin/sh"), Path::new("/tmp/x"));
        assert_eq!(of("vi"), ["vi", "/tmp/x"]);
        assert_eq!(of("code --wait"), ["code", "--wait", "/tmp/x"]);
        assert_eq!(
            of("sed -i 's/a/b/'"),
            ["/bin/sh", "-c", "sed -i 's/a/b/' \"/tmp/x\""]
        );
    }
}
