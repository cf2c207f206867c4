use std::{collections::BTreeMap, fs, path::Path};

/// The sample triggers of a service in `events/`, by file name without its ending.
pub fn samples(service: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(service);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let sample = |path: &Path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name, text)
    };
    files.map(|file| sample(&file.expect("a readable folder").path())).collect()
}
