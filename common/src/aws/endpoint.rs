//! Where a bucket is, by the SDK's own rules. Called by `bucket`.

use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_s3::error::BoxError;
use aws_smithy_types::Document;

use super::SideOptions;
use crate::settings::SettingError;

/// Where `bucket` is, and what region and service signatures there are for, by the SDK's own rules.
pub(super) async fn endpoint(options: &SideOptions, bucket: &str) -> Result<(String, (String, String)), SettingError> {
    let invalid = |reason: String, how: &str| SettingError::Invalid {
        name: format!("the bucket `{bucket}`"),
        reason,
        how: Some(how.into()),
    };
    let params = Params::builder()
        .bucket(bucket)
        .region(&options.region)
        .set_endpoint(options.endpoint_url.clone())
        .force_path_style(options.endpoint_url.is_some())
        .build();
    let unresolved = |error: BoxError| invalid(error.to_string(), "check its name, the region and the endpoint");
    let params = params.map_err(|error| unresolved(error.into()))?;
    let endpoint = ResolveEndpoint::resolve_endpoint(&DefaultResolver::new(), &params).await.map_err(unresolved)?;
    let schemes = endpoint.auth_schemes();
    let scheme = schemes.iter().find(|scheme| scheme.name() == "sigv4");
    if let (None, Some(other)) = (scheme, schemes.first()) {
        let reason = format!("its requests are signed by `{}`, not as those of general purpose buckets", other.name());
        return Err(invalid(reason, "give a general purpose bucket; directory buckets have neither tags nor order"));
    }
    let word = |name: &str| scheme.and_then(|scheme| scheme.get(name)).and_then(Document::as_string);
    let region = word("signingRegion").unwrap_or(&options.region).to_owned();
    let service = word("signingName").unwrap_or("s3").to_owned();
    Ok((endpoint.url().trim_end_matches('/').to_owned(), (region, service)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::tests::options;

    #[tokio::test]
    async fn buckets_are_where_the_sdk_says() {
        let url = |options: SideOptions, bucket: &'static str| async move {
            endpoint(&options, bucket).await.map(|(url, _)| url)
        };
        let cases = [
            (None, "core-prod", "https://core-prod.s3.eu-west-2.amazonaws.com"),
            // A dot would not fit the certificate.
            (None, "core.prod", "https://s3.eu-west-2.amazonaws.com/core.prod"),
            (Some("http://127.0.0.1:9000"), "core-prod", "http://127.0.0.1:9000/core-prod"),
            (Some("https://host/s3/"), "core-prod", "https://host/s3/core-prod"),
        ];
        for (endpoint_url, bucket, expected) in cases {
            assert_eq!(url(options(endpoint_url), bucket).await.unwrap(), expected);
        }
        let error = url(options(None), "core--euw2-az1--x-s3").await.unwrap_err();
        assert!(error.to_string().contains("sigv4-s3express"), "{error}");
    }
}
