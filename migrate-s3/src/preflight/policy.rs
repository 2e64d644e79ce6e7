//! What preflight reads in the target's policy: is plain HTTP refused, is encryption demanded?

use common::error::sentence;
use common::report::Check;
use serde_json::Value;

use super::Findings;
use crate::errand::Errand;
use crate::store::Store;

/// Looks at the policy of the target's bucket; a store without policies is not spoken of.
pub(super) async fn check(target: &Store, errand: &Errand, findings: &mut Findings) {
    let name = "target's policy";
    let answer = target
        .call("GetBucketPolicy", None, errand, || target.client().get_bucket_policy().bucket(target.bucket()).send())
        .await;
    let policy = match answer {
        Ok(output) => output.policy.unwrap_or_default(),
        Err(error) if error.is_not_found() => String::new(),
        Err(error) if error.is_denied() => {
            let fix = "look at the bucket's policy by hand: it should refuse plain HTTP";
            return findings.add(Check::warn(name, sentence(&error), fix));
        }
        Err(_) => return,
    };
    let policy: Value = serde_json::from_str(&policy).unwrap_or_default();
    if refuses_plain_http(&policy) {
        findings.add(Check::pass(name, "it refuses plain HTTP"));
    } else if target.options().endpoint_url.is_none() {
        let fix = "add a statement to the bucket's policy that denies s3:* where aws:SecureTransport is false";
        findings.add(Check::warn(name, "it does not refuse plain HTTP", fix));
    }
    if demands_encryption(&policy) {
        let detail = "it denies requests by the header x-amz-server-side-encryption, which migrate-s3 does not send: the bucket's \
                      own default encrypts";
        let fix =
            "if the probe of writing fails, let the policy allow requests without the header, or ask that it be null";
        findings.add(Check::warn("target's policy: encryption", detail, fix));
    }
}

/// The statements that deny.
fn denials(policy: &Value) -> impl Iterator<Item = &Value> {
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        one => std::slice::from_ref(one),
    };
    statements.iter().filter(|statement| statement["Effect"] == "Deny")
}

fn refuses_plain_http(policy: &Value) -> bool {
    let is_false = |value: &Value| *value == Value::Bool(false) || value.as_str() == Some("false");
    denials(policy).any(|statement| match &statement["Condition"]["Bool"]["aws:SecureTransport"] {
        Value::Array(values) => values.iter().any(is_false),
        value => is_false(value),
    })
}

fn demands_encryption(policy: &Value) -> bool {
    denials(policy).any(|statement| statement["Condition"].to_string().contains("s3:x-amz-server-side-encryption"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_are_understood() {
        let denial =
            |condition: Value| json!({ "Statement": [{ "Effect": "Deny", "Action": "s3:*", "Condition": condition }] });
        let plain_http = denial(json!({ "Bool": { "aws:SecureTransport": "false" } }));
        assert!(refuses_plain_http(&plain_http) && !demands_encryption(&plain_http));
        assert!(refuses_plain_http(&json!({ "Statement": plain_http["Statement"][0] })));
        let encryption = denial(json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption": "aws:kms" } }));
        assert!(demands_encryption(&encryption) && !refuses_plain_http(&encryption));
        assert!(!refuses_plain_http(&Value::Null));
    }
}
