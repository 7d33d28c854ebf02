//! One entry of a layer: a file, a folder, a link, or the mark of something removed. Knows the
//! folder only by its handle.

use super::{DEPTH_MAX, PATH_BYTES_MAX, malformed};
use crate::oci::error::ImageError;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Entry, EntryType};

/// The prefix of marks for what lower layers have and the image has not.
const WHITEOUT: &str = ".wh.";
/// The mark for a folder of which nothing from lower layers is left.
const OPAQUE: &str = ".wh..wh..opq";

/// Unpacks `entry` below `root`. `written` are the paths of this layer so far.
pub(super) fn unpack<R: Read>(
    entry: &mut Entry<'_, R>,
    root: &Dir,
    written: &mut HashSet<PathBuf>,
) -> Result<(), ImageError> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(());
    }
    let raw = entry.path().map_err(malformed)?.into_owned();
    let path = inside(&raw)?;
    let Some(name) = path.file_name() else {
        // The root folder itself.
        return Ok(());
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let io = |what: &str| ImageError::io(format!("unpack image layer: {what} {}", path.display()));
    if let Some(removed) = name.to_str().and_then(|name| name.strip_prefix(WHITEOUT)) {
        if name == OPAQUE {
            return clear(root, parent, written).map_err(io("clear"));
        }
        if removed.is_empty() || removed == "." || removed == ".." {
            return Err(wrong(&raw, "removes nothing"));
        }
        return remove(root, &parent.join(removed)).map_err(io("remove"));
    }
    make_parents(root, parent).map_err(io("create the folder of"))?;
    match kind {
        EntryType::Directory => make_dir(root, &path).map_err(io("create"))?,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            remove(root, &path).map_err(io("replace"))?;
            let mode = entry.header().mode().map_err(malformed)?;
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create_new(true)
                .mode(mode & 0o755 | 0o600);
            let mut file = root.open_with(&path, &options).map_err(io("create"))?;
            copy(entry, &mut file, &path)?;
        }
        EntryType::Symlink => {
            let target = target(entry, &raw)?;
            let target = within(parent, &target).ok_or_else(|| wrong(&raw, "links outside"))?;
            remove(root, &path).map_err(io("replace"))?;
            root.symlink(&target, &path).map_err(io("link"))?;
        }
        EntryType::Link => {
            let target = inside(&target(entry, &raw)?)?;
            if target != path {
                remove(root, &path).map_err(io("replace"))?;
                root.hard_link(&target, root, &path).map_err(io("link"))?;
            }
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            // Devices need root to make, and a guest has no use for one.
            tracing::warn!(path = %path.display(), "a device of an image is left out");
        }
        other => {
            return Err(wrong(
                &raw,
                &format!("is of unknown kind {:?}", other.as_byte()),
            ));
        }
    }
    written.insert(path);
    Ok(())
}

fn wrong(path: &Path, why: &str) -> ImageError {
    ImageError::malformed("image layer", format!("{} {why}", path.display()))
}

/// The path without what means nothing; one that climbs, or is too long or deep, is refused.
fn inside(path: &Path) -> Result<PathBuf, ImageError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(wrong(Path::new("a path"), "is too long"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(wrong(path, "holds a NUL"));
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(wrong(path, "leads outside"));
            }
        }
    }
    if clean.components().count() > DEPTH_MAX {
        return Err(wrong(path, "is too deep"));
    }
    Ok(clean)
}

fn target<R: Read>(entry: &Entry<'_, R>, path: &Path) -> Result<PathBuf, ImageError> {
    let target = entry
        .link_name()
        .map_err(malformed)?
        .map(|target| target.into_owned());
    match target {
        Some(target) if target.as_os_str().is_empty() => Err(wrong(path, "links to nothing")),
        Some(target) if target.as_os_str().len() > PATH_BYTES_MAX => {
            Err(wrong(path, "links to a path that is too long"))
        }
        Some(target) => Ok(target),
        None => Err(wrong(path, "links to nothing")),
    }
}

/// A symbolic link's target as a path from the link's folder that stays inside. An absolute
/// target means the image's root, which a guest cannot say: it is made relative. `None` when it
/// climbs above the root.
fn within(folder: &Path, target: &Path) -> Option<PathBuf> {
    let depth = folder.components().count();
    let absolute = target.is_absolute();
    let mut clean = PathBuf::new();
    if absolute {
        clean.extend(std::iter::repeat_n("..", depth));
    }
    let mut level = if absolute { 0 } else { depth };
    for part in target.components() {
        match part {
            Component::ParentDir if level == 0 => return None,
            Component::ParentDir => {
                level -= 1;
                clean.push("..");
            }
            Component::Normal(part) => {
                level += 1;
                clean.push(part);
            }
            Component::CurDir | Component::RootDir => {}
            Component::Prefix(_) => return None,
        }
    }
    Some(if clean.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        clean
    })
}

/// Folders on the way to an entry, as far as they are missing. A link on the way is followed
/// only within the root: the handle refuses the rest.
fn make_parents(root: &Dir, parent: &Path) -> io::Result<()> {
    let mut path = PathBuf::new();
    for part in parent.components() {
        path.push(part);
        match root.metadata(&path) {
            Ok(data) if data.is_dir() => {}
            Ok(_) => {
                // A lower layer's file where this one has a folder.
                remove(root, &path)?;
                root.create_dir(&path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                remove(root, &path)?;
                root.create_dir(&path)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn make_dir(root: &Dir, path: &Path) -> io::Result<()> {
    match root.symlink_metadata(path) {
        Ok(data) if data.is_dir() => Ok(()),
        _ => {
            remove(root, path)?;
            root.create_dir(path)
        }
    }
}

/// Removes what lies at `path`, whatever it is, without following a link there.
fn remove(root: &Dir, path: &Path) -> io::Result<()> {
    match root.symlink_metadata(path) {
        Ok(data) if data.is_dir() => root.remove_dir_all(path),
        Ok(_) => root.remove_file(path),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Removes what lower layers have put into a folder. Its other layers' paths stay.
fn clear(root: &Dir, folder: &Path, written: &HashSet<PathBuf>) -> io::Result<()> {
    let listed = match folder.as_os_str().is_empty() {
        true => root.entries(),
        false => root.read_dir(folder),
    };
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = folder.join(entry?.file_name());
        if written.iter().any(|kept| kept.starts_with(&path)) {
            let is_dir = root.symlink_metadata(&path).is_ok_and(|data| data.is_dir());
            if is_dir {
                clear(root, &path, written)?;
            }
        } else {
            remove(root, &path)?;
        }
    }
    Ok(())
}

/// The file's content. Reading errors are the archive's fault, writing errors the disk's.
fn copy<R: Read>(
    entry: &mut Entry<'_, R>,
    file: &mut cap_std::fs::File,
    path: &Path,
) -> Result<(), ImageError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = entry.read(&mut buffer).map_err(malformed)?;
        if read == 0 {
            return Ok(());
        }
        let written = io::Write::write_all(file, buffer.get(..read).unwrap_or_default());
        written.map_err(ImageError::io(format!(
            "unpack image layer: write {}",
            path.display()
        )))?;
    }
}
