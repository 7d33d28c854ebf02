//! `wkube image`: builds, fetches, loads, saves, names, lists and removes the images of this
//! machine, in docker's words. Works on the data directory itself, whether a server uses it or
//! not; what is loaded is found by the server at the next container that asks for it.

use crate::cli::context::{CliError, GlobalArgs};
use crate::oci::{BUNDLED, Credentials, ImageError, ImageStore, Keyring, Origin, Reference};
use crate::stdx::Clock;
use clap::Subcommand;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes of a docker configuration file.
const DOCKER_CONFIG_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data directory whose images are meant
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an image of a wasm module or a folder
    #[command(
        after_help = "A folder becomes the root filesystem; the one .wasm or .wat file directly \
                            in it is what starts."
    )]
    Build {
        /// The image's name; may be given several times
        #[arg(short, long = "tag", value_name = "NAME[:TAG]", required = true)]
        tags: Vec<String>,
        /// A .wasm or .wat file, or a folder with one
        path: PathBuf,
    },
    /// Fetch an image from its registry
    Pull {
        /// The image's name
        name: String,
        /// Who to be at the registry; the default is what docker's configuration says
        #[arg(long, value_name = "USER[:PASSWORD]")]
        creds: Option<String>,
    },
    /// Take in the images of an archive
    Load {
        /// The archive; the default is standard input
        #[arg(short, long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// The name of an image that has none in the archive
        #[arg(short, long, value_name = "NAME[:TAG]")]
        tag: Option<String>,
    },
    /// Write images to an archive that wkube, docker and podman load
    Save {
        /// The archive; the default is standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The images
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Give an image one more name
    Tag {
        /// The image
        source: String,
        /// Its new name
        target: String,
    },
    /// List images
    #[command(visible_alias = "list")]
    Ls {
        /// Only the images' digests
        #[arg(short, long)]
        quiet: bool,
        /// The whole digests
        #[arg(long)]
        no_trunc: bool,
    },
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm {
        /// The images
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(crate) async fn run(args: Args, _global: GlobalArgs) -> Result<ExitCode, CliError> {
    let done = verb(args, &mut io::stdout()).await;
    done.map(|()| ExitCode::SUCCESS).map_err(CliError::new)
}

async fn verb(args: Args, out: &mut (dyn Write + Send)) -> Result<(), String> {
    let store = open(args.data_dir)?;
    let said = |done: io::Result<()>| done.map_err(|error| error.to_string());
    match args.verb {
        Verb::Build { tags, path } => {
            let names = parse(&tags)?;
            let image = store.build(&path, &names).map_err(text)?;
            said(writeln!(
                out,
                "Successfully built {}",
                short(&image.digest.to_string())
            ))?;
            names
                .iter()
                .try_for_each(|name| said(writeln!(out, "Successfully tagged {}", familiar(name))))
        }
        Verb::Pull { name, creds } => pull(&store, &name, creds, out).await,
        Verb::Load { input, tag } => {
            let name = tag
                .as_deref()
                .map(Reference::parse)
                .transpose()
                .map_err(text)?;
            let images = store
                .load(&mut *reader(input.as_deref())?, name.as_ref())
                .map_err(text)?;
            images.iter().try_for_each(|image| {
                let name = Reference::parse(&image.reference).map_err(text)?;
                said(writeln!(out, "Loaded image: {}", familiar(&name)))
            })
        }
        Verb::Save { output, names } => save(&store, &parse(&names)?, output.as_deref()),
        Verb::Tag { source, target } => {
            let (source, target) = (Reference::parse(&source), Reference::parse(&target));
            store
                .tag(&source.map_err(text)?, &target.map_err(text)?)
                .map_err(text)
                .map(|_| ())
        }
        Verb::Ls { quiet, no_trunc } => list(&store, quiet, no_trunc, out),
        Verb::Rm { names } => parse(&names)?.iter().try_for_each(|name| {
            store.remove(name).map_err(text)?;
            said(writeln!(out, "Untagged: {}", familiar(name)))
        }),
    }
}

fn text(error: ImageError) -> String {
    error.to_string()
}

fn open(data_dir: Option<PathBuf>) -> Result<Arc<ImageStore>, String> {
    let dir = data_dir.or_else(crate::serve::default_data_dir);
    let dir = dir.ok_or("no home directory: name a data directory with --data-dir")?;
    let closed = crate::stdx::create_private_dir(&dir);
    closed.map_err(|error| format!("{}: {error}", dir.display()))?;
    ImageStore::open(Some(&dir.join("images")), BUNDLED).map_err(text)
}

fn parse(names: &[String]) -> Result<Vec<Reference>, String> {
    names
        .iter()
        .map(|name| Reference::parse(name).map_err(text))
        .collect()
}

/// The name as docker prints it: short, with its tag.
fn familiar(name: &Reference) -> String {
    match (name.tag(), name.digest()) {
        (Some(tag), _) => format!("{}:{tag}", name.familiar_name()),
        (None, Some(digest)) => format!("{}@{digest}", name.familiar_name()),
        (None, None) => name.familiar_name(),
    }
}

/// Twelve digits of a digest, as docker shows it.
fn short(digest: &str) -> String {
    digest
        .trim_start_matches("sha256:")
        .chars()
        .take(12)
        .collect()
}

async fn pull(
    store: &Arc<ImageStore>,
    name: &str,
    creds: Option<String>,
    out: &mut (dyn Write + Send),
) -> Result<(), String> {
    let reference = Reference::parse(name).map_err(text)?;
    let credentials = match creds {
        Some(creds) => {
            let (username, password) = creds.split_once(':').unwrap_or((&creds, ""));
            let (username, password) = (username.to_owned(), password.to_owned());
            Some(Credentials::Basic { username, password })
        }
        None => docker_credentials(&reference),
    };
    let before = store.get(&reference).map_err(text)?;
    let image = store.pull(&reference, credentials).await.map_err(text)?;
    let same = before.is_some_and(|before| before.digest == image.digest);
    let status = if same {
        "Image is up to date"
    } else {
        "Downloaded newer image"
    };
    let familiar = familiar(&reference);
    let done = writeln!(
        out,
        "Digest: {}\nStatus: {status} for {familiar}\n{reference}",
        image.digest
    );
    done.map_err(|error| error.to_string())
}

/// What docker's configuration says for a registry. Helpers that keep passwords elsewhere are not
/// asked; a configuration that cannot be read means anonymous, as it does where there is none.
fn docker_credentials(reference: &Reference) -> Option<Credentials> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    let mut bytes = Vec::new();
    let file = File::open(folder.join("config.json")).ok()?;
    file.take(DOCKER_CONFIG_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    let mut keyring = Keyring::default();
    keyring.add_docker_config_json(&bytes).ok()?;
    keyring.find(reference).into_iter().next()
}

fn reader(input: Option<&Path>) -> Result<Box<dyn Read>, String> {
    match input {
        Some(path) => match File::open(path) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(format!("open {}: {error}", path.display())),
        },
        None if io::stdin().is_terminal() => {
            Err("requested load from stdin, but stdin is empty: name a file with -i".to_owned())
        }
        None => Ok(Box::new(io::stdin())),
    }
}

fn save(store: &ImageStore, names: &[Reference], output: Option<&Path>) -> Result<(), String> {
    let Some(path) = output else {
        if io::stdout().is_terminal() {
            return Err(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect".to_owned(),
            );
        }
        let mut out = BufWriter::new(io::stdout().lock());
        store.save(names, &mut out).map_err(text)?;
        return out.flush().map_err(|error| error.to_string());
    };
    let failed = |error: io::Error| format!("write {}: {error}", path.display());
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let saved = store.save(names, &mut out).map_err(text);
    if let Err(why) = saved.and_then(|()| out.flush().map_err(failed)) {
        // Half an archive would only be mistaken for a whole one.
        let _ = std::fs::remove_file(path);
        return Err(why);
    }
    Ok(())
}

fn list(
    store: &ImageStore,
    quiet: bool,
    no_trunc: bool,
    out: &mut dyn Write,
) -> Result<(), String> {
    let now = Clock::real().now();
    let header = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned);
    let mut rows = vec![header];
    for image in store.list().map_err(text)? {
        let digest = image.digest.to_string();
        let id = if no_trunc { digest } else { short(&digest) };
        if quiet {
            writeln!(out, "{id}").map_err(|error| error.to_string())?;
            continue;
        }
        let created = match (image.created, image.origin) {
            (Some(created), _) => format!("{} ago", duration((now - created).get_seconds().max(0))),
            (None, Origin::Bundled) => "bundled".to_owned(),
            (None, _) => "<unknown>".to_owned(),
        };
        let tag = image.reference.tag().unwrap_or("<none>").to_owned();
        rows.push([
            image.reference.familiar_name(),
            tag,
            id,
            created,
            size(image.size_bytes),
        ]);
    }
    if quiet {
        return Ok(());
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("   ");
        writeln!(out, "{}", line.trim_end()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// How long ago, as docker says it.
fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        3600..7200 => "About an hour".to_owned(),
        7200..172_800 => format!("{hours} hours"),
        172_800..1_209_600 => format!("{days} days"),
        1_209_600..5_184_000 => format!("{} weeks", days / 7),
        5_184_000..63_072_000 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

/// Bytes as docker says them: three digits, decimal units.
fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut value = bytes as f64;
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = match value {
        _ if unit == "B" || value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(dir: &Path, words: &[&str]) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let mut all = vec!["image", "--data-dir", dir.to_str().unwrap()];
        all.extend(words);
        let line =
            <Line as clap::Parser>::try_parse_from(all).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        verb(line.args, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_module_is_built_listed_saved_loaded_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        let file = dir.path().join("a.wat");
        std::fs::write(&file, "(module (func (export \"_start\")))").unwrap();
        let file = file.to_str().unwrap();
        let built = run(&here, &["build", "-t", "app", "-t", "team/app:2", file])
            .await
            .unwrap();
        let id = built
            .lines()
            .next()
            .unwrap()
            .strip_prefix("Successfully built ")
            .unwrap();
        assert!(
            built.ends_with("Successfully tagged app:latest\nSuccessfully tagged team/app:2\n"),
            "{built}"
        );
        let listed = run(&here, &["ls"]).await.unwrap();
        assert!(listed.starts_with("REPOSITORY"), "{listed}");
        let line = listed
            .lines()
            .find(|line| line.starts_with("team/app "))
            .unwrap();
        assert!(line.contains(id) && line.contains(" ago "), "{line}");
        assert!(
            listed.contains("gihyodocker/echo") && listed.contains("bundled"),
            "{listed}"
        );
        let archive = dir.path().join("a.tar");
        let archive = archive.to_str().unwrap();
        run(&here, &["save", "-o", archive, "app", "gihyodocker/echo"])
            .await
            .unwrap();
        let loaded = run(&there, &["load", "-i", archive]).await.unwrap();
        assert_eq!(
            loaded,
            "Loaded image: app:latest\nLoaded image: gihyodocker/echo:latest\n"
        );
        run(&there, &["tag", "app", "other:1"]).await.unwrap();
        assert_eq!(
            run(&there, &["rm", "app", "other:1"]).await.unwrap(),
            "Untagged: app:latest\nUntagged: other:1\n"
        );
        assert_eq!(
            run(&there, &["rm", "app"]).await.unwrap_err(),
            "image \"docker.io/library/app:latest\": not found"
        );
        assert!(run(&there, &["save", "-o", archive, "app"]).await.is_err());
        assert!(!Path::new(archive).exists(), "no half archive is left");
    }

    #[test]
    fn sizes_and_ages_as_docker_says_them() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.00kB"),
            (154_484, "154kB"),
            (12_345_678, "12.3MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (1, "1 second"),
            (90, "About a minute"),
            (7200, "2 hours"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
