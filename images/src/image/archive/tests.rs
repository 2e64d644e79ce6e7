//! Files of every kind that an engine writes, and files that are none.

use super::*;

/// A tar file with these entries; an entry whose content begins with `-> ` is a link.
fn tar_file(entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = content.strip_prefix(b"-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, std::str::from_utf8(target).unwrap()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), builder.into_inner().unwrap()).unwrap();
    file
}

fn docker_file(layers: &str, entries: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let manifest = format!(r#"[{{"Config":"c.json","RepoTags":["host/db-migration:0.1.0"],"Layers":{layers}}}]"#);
    let fixed: [(&str, &[u8]); 2] = [("manifest.json", manifest.as_bytes()), ("c.json", b"{}")];
    tar_file(&[&fixed, entries].concat())
}

#[test]
fn what_docker_save_writes_becomes_blobs() {
    // GIVEN two layers in a file, one of which is a link to the other, as old engines write it
    let layer = vec![7; 100_000];
    let entries: [(&str, &[u8]); 2] = [("a/layer.tar", &layer), ("b/layer.tar", b"-> ../a/layer.tar")];
    let file = docker_file(r#"["a/layer.tar","b/layer.tar"]"#, &entries);
    // WHEN it is read
    let image = Image::load(file.path()).unwrap();
    // THEN the layer is there once, compressed, twice in the manifest, and it is the same each time
    assert_eq!((image.name.as_deref(), image.tag.as_deref()), (Some("db-migration"), Some("0.1.0")));
    assert_eq!(image.blobs.len(), 2);
    assert!(image.blobs[1].size < 1000 && image.blobs[1].place.unwrap().compress);
    assert_eq!(named_by(&image.manifest).unwrap().blobs.len(), 2);
    assert_eq!(Image::load(file.path()).unwrap().manifest.digest, image.manifest.digest);
    let manifest: Value = serde_json::from_slice(&image.manifest.content).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn an_oci_layout_goes_as_it_is() {
    let (config, layer) = (b"{}".as_slice(), b"\x1f\x8b layer".as_slice());
    let described = |content: &[u8]| json!({ "digest": digest_of(content), "size": content.len() });
    let manifest = json!({ "schemaVersion": 2, "config": described(config), "layers": [described(layer)] }).to_string();
    let index = json!({ "manifests": [described(manifest.as_bytes())] }).to_string();
    let path = |content: &[u8]| format!("blobs/{}", digest_of(content).replace(':', "/"));
    let names = [path(config), path(layer), path(manifest.as_bytes())];
    let file = |layer: &[u8]| {
        let described = [(&*names[0], config), (&*names[1], layer), (&*names[2], manifest.as_bytes())];
        tar_file(&[&[("index.json", index.as_bytes())], &described[..]].concat())
    };
    let image = Image::load(file(layer).path()).unwrap();
    assert_eq!(image.manifest.digest, digest_of(manifest.as_bytes()));
    let digests: Vec<_> = image.blobs.iter().map(|blob| blob.digest.clone()).collect();
    assert_eq!(digests, [digest_of(config), digest_of(layer)]);
    let error = Image::load(file(b"another").path()).unwrap_err();
    assert!(error.to_string().contains("has the digest"), "{error}");
}

#[test]
fn what_is_no_image_is_refused() {
    let whole = std::fs::read(docker_file(r#"["l"]"#, &[("l", &[7; 5000])]).path()).unwrap();
    let cut = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cut.path(), &whole[..3000]).unwrap();
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "no tar").unwrap();
    let two = tar_file(&[("manifest.json", br"[{},{}]")]);
    let missing = docker_file(r#"["nowhere"]"#, &[]);
    for (file, words) in [
        (&cut, "is no image"),
        (&text, "is no image"),
        (&tar_file(&[("a", b"b")]), "neither manifest.json"),
        (&two, "exactly one image"),
        (&missing, "names nowhere, which is not in it"),
    ] {
        let error = Image::load(file.path()).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert!(matches!(Image::load(Path::new("/nowhere")), Err(ArchiveError::Unreadable { .. })));
}
