//! Layers into a root filesystem. Everything in a layer is somebody else's: paths that climb,
//! links that lead outside, and archives that grow without end are refused; all writing goes
//! through a handle of the folder that cannot be left (cap-std).

mod entry;
mod meter;

use super::error::ImageError;
use super::media_types::Packing;
use crate::stdx::Digest;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
pub(super) use meter::Meter;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Files, folders and links of one image.
pub(super) const FILES_MAX: usize = 100_000;
/// Bytes of one image, unpacked.
pub(super) const UNPACKED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Unpacked bytes for each packed byte; honest archives stay far below.
pub(super) const RATIO_MAX: u64 = 250;
/// So many unpacked bytes are allowed whatever the ratio: zeros pack well.
pub(super) const RATIO_FREE_BYTES: u64 = 32 * 1024 * 1024;
/// Folders within folders.
pub(super) const DEPTH_MAX: usize = 64;
/// Bytes of a path or a link's target.
pub(super) const PATH_BYTES_MAX: usize = 4096;
/// Memory that a layer may ask of the zstd decoder, as a power of two: 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// One layer's file.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its content, checked against its digest before.
    pub(super) path: PathBuf,
    /// How it is packed.
    pub(super) packing: Packing,
    /// The digest of the content unpacked, where the configuration says it.
    pub(super) diff_id: Option<Digest>,
}

/// What all layers of an image have used up.
#[derive(Debug, Default)]
struct Budget {
    files: usize,
    bytes: u64,
}

/// Unpacks the layers, lowest first, into the folder `to`, which must be empty.
pub(super) fn unpack(layers: &[Layer], to: &Path) -> Result<(), ImageError> {
    let opened = Dir::open_ambient_dir(to, ambient_authority());
    let root = opened.map_err(ImageError::io(format!("open {}", to.display())))?;
    let mut budget = Budget::default();
    for layer in layers {
        unpack_layer(layer, &root, &mut budget)?;
    }
    Ok(())
}

fn unpack_layer(layer: &Layer, root: &Dir, budget: &mut Budget) -> Result<(), ImageError> {
    let open = || format!("open {}", layer.path.display());
    let file = File::open(&layer.path).map_err(ImageError::io(open()))?;
    let packed = file.metadata().map_err(ImageError::io(open()))?.len();
    let file = BufReader::new(file);
    let plain = unpacked(file, layer.packing)?;
    let limit = (packed.saturating_mul(RATIO_MAX)).max(RATIO_FREE_BYTES);
    let limit = limit.min(UNPACKED_BYTES_MAX - budget.bytes);
    let mut meter = Meter::new(plain, move || limit);
    let mut archive = tar::Archive::new(&mut meter);
    let mut written: HashSet<PathBuf> = HashSet::new();
    for entry in archive.entries().map_err(malformed)? {
        budget.files += 1;
        if budget.files > FILES_MAX {
            return Err(ImageError::too_large("image", format!("{FILES_MAX} files")));
        }
        entry::unpack(&mut entry.map_err(malformed)?, root, &mut written)?;
    }
    // Also what follows the archive's end belongs to the digest.
    io::copy(&mut meter, &mut io::sink()).map_err(malformed)?;
    budget.bytes += meter.read_so_far();
    match (layer.diff_id, meter.digest()) {
        (Some(expected), actual) if expected != actual => {
            Err(ImageError::Mismatch { expected, actual })
        }
        _ => Ok(()),
    }
}

/// How bytes that begin like these are packed.
pub(super) fn packing_of(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => Packing::Plain,
    }
}

/// The bytes as they were before they were packed.
pub(super) fn unpacked<'a>(
    packed: impl BufRead + 'a,
    packing: Packing,
) -> Result<Box<dyn Read + 'a>, ImageError> {
    Ok(match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(packed).map_err(malformed)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(malformed)?;
            Box::new(decoder)
        }
    })
}

/// An error of reading a layer: the archive's fault, or the meter's veto.
pub(super) fn malformed(error: io::Error) -> ImageError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<meter::Exceeded>())
    {
        Some(meter::Exceeded(limit)) => {
            ImageError::too_large("image content, unpacked,", format!("{limit} bytes"))
        }
        None => ImageError::malformed("image layer", error),
    }
}

#[cfg(test)]
mod tests;
