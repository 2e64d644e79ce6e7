//! Images of an on-premises registry, copied into ECR as they are.

use serde_json::json;
use tests::engines::{Ecr, Registry, Users};

use super::REGION;
use super::push::program;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const BLOB: &str = "application/octet-stream";

/// Puts an image with one layer; gives its manifest's digest and length.
async fn put_image(registry: &Registry, repository: &str, tag: &str, seed: u64) -> (String, usize) {
    let mut layer = vec![0; 300_000];
    fastrand::Rng::with_seed(seed).fill(&mut layer);
    let config = json!({ "seed": seed }).to_string();
    let config_digest = registry.put(repository, None, BLOB, config.as_bytes()).await;
    let layer_digest = registry.put(repository, None, BLOB, &layer).await;
    let layer = json!({ "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": layer_digest });
    let config = json!({ "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": config_digest });
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] }).to_string();
    (registry.put(repository, Some(tag), MANIFEST, manifest.as_bytes()).await, manifest.len())
}

#[tokio::test]
async fn a_namespace_arrives_with_all_its_repositories_tags_and_platforms() {
    // GIVEN two repositories in a namespace, one with an index of two platforms, and a third one elsewhere
    let source = Registry::start(Users::Token).await;
    let (amd, amd_length) = put_image(&source, "api/server", "amd64", 1).await;
    let (arm, arm_length) = put_image(&source, "api/server", "arm64", 2).await;
    let entry = |digest: &str, size: usize, architecture: &str| json!({ "mediaType": MANIFEST, "size": size, "digest": digest, "platform": { "architecture": architecture, "os": "linux" } });
    let manifests = [entry(&amd, amd_length, "amd64"), entry(&arm, arm_length, "arm64")];
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string();
    let index = source.put("api/server", Some("1.0"), INDEX, index.as_bytes()).await;
    let (worker, _) = put_image(&source, "api/worker", "2.0", 3).await;
    put_image(&source, "site", "1.0", 4).await;
    let ecr = Ecr::start(REGION, Users::Token, &["core/api/server", "core/api/worker"]).await;

    // WHEN it is mirrored, twice
    let mirror = |from: &str, to: &str| {
        let from = format!("{}/{from}", source.url());
        let program = program(&ecr).args(["mirror", &from, to]);
        program.env("MIRROR_USERNAME", "AWS").env("MIRROR_PASSWORD", tests::engines::REGISTRY_PASSWORD)
    };
    let first = mirror("api/*", "core/api").run().await;
    first.assert_code(0).assert_without(&["hunter2", tests::engines::REGISTRY_PASSWORD]);
    let second = mirror("api/*", "core/api").run().await;

    // THEN the digests are the same on both sides, and the second time nothing was sent
    for (repository, reference, digest) in [
        ("core/api/server", "1.0", &index),
        ("core/api/server", "amd64", &amd),
        ("core/api/server", arm.as_str(), &arm),
        ("core/api/worker", "2.0", &worker),
    ] {
        let kind = if digest == &index { INDEX } else { MANIFEST };
        let path = format!("/v2/{repository}/manifests/{reference}");
        let (head, _) = ecr.registry.request("GET", &path, kind, &[]).await;
        assert!(head.contains(digest.as_str()), "{repository} {reference}: {head}");
    }
    let images = second.assert_code(0).summary();
    let images = images["images"].as_array().unwrap();
    assert_eq!(images.len(), 4, "{second}");
    assert!(images.iter().all(|image| image["blobs_sent"] == 0), "{second}");

    // AND one image can be named by its digest; what is not there, and who may not, is said
    mirror(&format!("api/worker@{worker}"), "core/api/worker").run().await.assert_code(0);
    let absent = mirror("api/worker:3.0", "core/api/worker").run().await;
    absent.assert_code(1);
    assert!(absent.stderr.contains("pull the manifest of"), "{absent}");
    let stranger =
        mirror("api/worker", "core/api/worker").without_env("MIRROR_USERNAME").without_env("MIRROR_PASSWORD");
    stranger.run().await.assert_code(3);
    let nowhere = mirror("site", "core/site").run().await;
    nowhere.assert_code(3);
    assert!(nowhere.stderr.contains("`core/site` does not exist"), "{nowhere}");
}
