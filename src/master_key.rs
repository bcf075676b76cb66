//! The master key: a file that only its owner reads.
//!
//! It is made at the first start and never again: a data folder whose key is gone is refused, since a new key would open
//! nothing in it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use airlock_actors::ports::Entropy;
use anyhow::{Context as _, bail};
use zeroize::Zeroizing;

/// A master key: 256 bits.
pub type MasterKey = Zeroizing<[u8; 32]>;

/// Reads the key at `path`, or makes one there if `may_create`.
pub fn load(path: &Path, may_create: bool, entropy: &dyn Entropy) -> anyhow::Result<MasterKey> {
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == ErrorKind::NotFound && may_create => create(path, entropy),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "the master key {} is missing, and the data folder holds secrets sealed with it; put the key back \
             (nothing was changed)",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("could not read the master key {}", path.display())),
    }
}

fn read(file: File, path: &Path) -> anyhow::Result<MasterKey> {
    let mode = file.metadata()?.mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), mode = %format_args!("{:o}", mode & 0o777), "the master key can be read by others");
    }
    // Read through a buffer that wipes itself, and with room for one byte more than there may be.
    let mut text = Zeroizing::new(vec![0u8; 256]);
    let mut length = 0;
    let mut limited = file.take(text.len() as u64);
    loop {
        let read = limited.read(text.get_mut(length..).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        length += read;
    }
    let digits = text.get(..length).unwrap_or_default().trim_ascii();
    let mut key = MasterKey::default();
    hex::decode_to_slice(digits, key.as_mut_slice())
        .map_err(|_| anyhow::anyhow!("{} is not a master key: it must hold 64 hexadecimal digits", path.display()))?;
    Ok(key)
}

/// Makes a key and has it on disk, its name in the folder included, before anything is sealed with it. A key that is
/// there by then, made by another at the same time, is never replaced: it is the one that is used.
fn create(path: &Path, entropy: &dyn Entropy) -> anyhow::Result<MasterKey> {
    let mut key = MasterKey::default();
    entropy.fill(key.as_mut_slice());
    let mut text = Zeroizing::new(vec![0u8; 65]);
    if let Some(digits) = text.get_mut(..64) {
        hex::encode_to_slice(key.as_slice(), digits)?;
    }
    if let Some(newline) = text.last_mut() {
        *newline = b'\n';
    }
    if !publish(path, &text).with_context(|| format!("could not write the master key {}", path.display()))? {
        return load(path, false, entropy);
    }
    tracing::info!(file = %path.display(), "made a master key; keep a copy of it apart from the data");
    Ok(key)
}

/// Writes a file as a whole or not at all. False when there is one of that name, which stays as it is.
fn publish(path: &Path, text: &[u8]) -> std::io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Under a name of its own first, for the owner alone: a crash half-way leaves no half key behind.
    let mut unfinished = tempfile::Builder::new().prefix(".unfinished-key-").tempfile_in(folder)?;
    unfinished.write_all(text)?;
    unfinished.as_file().sync_all()?;
    let published = match unfinished.persist_noclobber(path) {
        Ok(_) => true,
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => false,
        Err(failed) => return Err(failed.error),
    };
    File::open(folder)?.sync_all()?;
    Ok(published)
}

#[cfg(test)]
mod tests {
    use airlock_actors::testing::SeededEntropy;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".secret");
        let entropy = SeededEntropy::new(1);
        assert!(load(&path, false, &entropy).is_err());
        let made = load(&path, true, &entropy).unwrap();
        assert_eq!(*load(&path, false, &entropy).unwrap(), *made);
        assert_eq!(*load(&path, true, &entropy).unwrap(), *made);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn many_that_make_it_at_once_get_the_same_key() {
        for round in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(".secret");
            let start = std::sync::Barrier::new(16);
            let make = &|seed| {
                start.wait();
                load(&path, true, &SeededEntropy::new(seed)).unwrap()
            };
            let keys: Vec<MasterKey> = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..16).map(|seed| scope.spawn(move || make(round * 16 + seed))).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            let kept = load(&path, false, &SeededEntropy::new(1)).unwrap();
            assert!(keys.iter().all(|key| **key == *kept), "round {round}: a key was replaced");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something unfinished was left behind");
        }
    }

    #[test]
    fn a_key_that_is_there_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".secret");
        let first = load(&path, true, &SeededEntropy::new(1)).unwrap();
        assert_eq!(*create(&path, &SeededEntropy::new(2)).unwrap(), *first);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for text in ["", "hunter2", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"0".repeat(600)] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path, true, &SeededEntropy::new(1)).unwrap_err().to_string();
            assert!(error.contains("64 hexadecimal digits") && !error.contains("hunter2"), "{error}");
        }
    }
}
