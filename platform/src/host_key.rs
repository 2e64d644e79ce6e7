//! The proxy's host key against the fingerprint that the platform publishes, in any of the forms that it is published in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// The fingerprint of `key` (its wire form) in the form that `published` has, and whether the two are the same.
pub(crate) fn compare(key: &[u8], published: &str) -> (String, bool) {
    let hex: String = published.chars().filter(|character| *character != ':').collect();
    let hex = hex.strip_prefix("MD5").unwrap_or(&hex);
    if hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let seen = Md5::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
        return (seen.join(":"), seen.concat().eq_ignore_ascii_case(hex));
    }
    let seen = STANDARD_NO_PAD.encode(Sha256::digest(key));
    let same = published.strip_prefix("SHA256:").unwrap_or(published).trim_end_matches('=') == seen;
    (seen, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_compared_and_another_key_is_none() {
        // `printf key | sha256sum | xxd -r -p | base64` and `printf key | md5sum`
        let sha256 = "LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM";
        let md5 = "3c6e0b8a9c15224a8228b9a98ca1531d";
        let colons = "3c:6e:0b:8a:9c:15:22:4a:82:28:b9:a9:8c:a1:53:1d";
        for published in [sha256, &format!("SHA256:{sha256}"), &format!("{sha256}="), md5, &md5.to_uppercase(), colons]
        {
            assert!(compare(b"key", published).1, "{published}");
            assert!(!compare(b"another key", published).1, "{published}");
        }
        assert!(!compare(b"key", "").1);
    }
}
