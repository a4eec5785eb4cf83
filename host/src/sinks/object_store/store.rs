//! The store that the options name, and what its errors mean.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, RetryConfig};

use super::client::{HostClient, Noted};
use crate::config::{ObjectStoreOptions, Store};
use crate::outside::Outside;
use crate::sandbox::{Egress, Notes, Way};
use crate::sinks::{Retry, SinkError};

/// The sink's task tries again, and knows for how long.
const ONCE: RetryConfig = RetryConfig {
    backoff: object_store::BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
    },
    max_retries: 0,
    retry_timeout: Duration::from_secs(60),
};

/// # Errors
/// When its settings do not fit together, or a local folder cannot be made.
pub fn open(id: &str, options: &ObjectStoreOptions, outside: &Outside) -> Result<Arc<dyn ObjectStore>, SinkError> {
    let everywhere = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|network| network.parse().ok());
    let way = Way {
        source: id.into(),
        // An operator's own store is where the operator says.
        egress: Arc::new(Egress::nothing().allowing(everywhere)),
        settings: &options.network,
        notes: Arc::<Notes>::default(),
    };
    let transport = outside.network.transport(&way).map_err(|error| SinkError::new(error.to_string()))?;
    let client = HostClient { transport, clock: outside.clock };
    let wrong = |error: object_store::Error| {
        SinkError::new(format!("the store cannot be used: {}", first_line(&error.to_string())))
            .hint("Check the sink's `url` and what stands beside it")
    };
    let plain = |endpoint: &Option<String>| endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    Ok(match &options.store {
        Store::S3 { bucket, region, endpoint, virtual_hosted_style, credentials } => {
            let mut builder = match credentials {
                Some(own) => {
                    let builder = AmazonS3Builder::new()
                        .with_access_key_id(own.access_key_id.expose())
                        .with_secret_access_key(own.secret_access_key.expose());
                    match &own.session_token {
                        Some(token) => builder.with_token(token.expose()),
                        None => builder,
                    }
                }
                None => AmazonS3Builder::from_env(),
            };
            if let Some(region) = region {
                builder = builder.with_region(region);
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint).with_allow_http(plain(&Some(endpoint.clone())));
            }
            let builder = builder
                .with_bucket_name(bucket)
                .with_virtual_hosted_style_request(*virtual_hosted_style)
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                .with_retry(ONCE)
                .with_http_connector(client);
            Arc::new(builder.build().map_err(wrong)?)
        }
        Store::Google { bucket, endpoint, credentials_path } => {
            let mut builder = match credentials_path {
                Some(path) => GoogleCloudStorageBuilder::new().with_service_account_path(path),
                None => GoogleCloudStorageBuilder::from_env(),
            };
            if let Some(endpoint) = endpoint {
                builder = builder.with_base_url(endpoint);
            }
            let builder = builder.with_bucket_name(bucket).with_retry(ONCE).with_http_connector(client);
            Arc::new(builder.build().map_err(wrong)?)
        }
        Store::Azure { container, account, endpoint, access_key } => {
            let mut builder = match access_key {
                Some(key) => MicrosoftAzureBuilder::new().with_access_key(key.expose()),
                None => MicrosoftAzureBuilder::from_env(),
            };
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint.clone()).with_allow_http(plain(&Some(endpoint.clone())));
            }
            let builder = builder
                .with_account(account)
                .with_container_name(container)
                .with_retry(ONCE)
                .with_http_connector(client);
            Arc::new(builder.build().map_err(wrong)?)
        }
        Store::Local(folder) => {
            let made = std::fs::create_dir_all(folder).map_err(|error| {
                SinkError::new(format!("cannot make {}: {error}", folder.display()))
                    .hint("Let the user that runs tributary write there, or change the sink's `url`")
            });
            made?;
            Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(wrong)?.with_fsync(true))
        }
    })
}

/// What an error means for the operator. What stands in it may be a secret, such as a signed address.
pub fn fault(store: &Store, error: &object_store::Error, noted: &Noted) -> SinkError {
    if let Some((trouble, hint)) = noted.trouble() {
        let hint =
            hint.unwrap_or_else(|| format!("Check the sink's `{}`, and whether the store is up", where_is(store)));
        return SinkError::new(format!("the store does not answer: {trouble}")).hint(hint);
    }
    let Some(status) = noted.status() else {
        let fault = SinkError::new(format!("the store failed: {}", first_line(&error.to_string())));
        return match store {
            Store::Local(folder) => fault
                .hint(format!("Make room in {} and let the user that runs tributary write there", folder.display())),
            _ => fault.hint(format!("Check {}", credentials(store))),
        };
    };
    let code = noted.code();
    let said = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let fault = SinkError::new(format!("the store answered {status}{said}"));
    let fault = match status {
        // Amazon says these with 400, as so much else.
        _ if matches!(code.as_deref(), Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired")) => {
            fault.hint(format!("They have expired, or never were good: renew {}", credentials(store)))
        }
        _ if matches!(code.as_deref(), Some("EntityTooLarge" | "RequestBodyTooLarge")) => {
            return fault.retry(Retry::Smaller);
        }
        401 | 403 => {
            fault.hint(format!("Let this identity create and read objects there, or correct {}", credentials(store)))
        }
        404 => fault.hint("Make the bucket or container, or correct the sink's `url`"),
        301 | 307 | 400 if matches!(store, Store::S3 { .. }) => {
            fault.hint("Check the sink's `region` and `endpoint`: the bucket may be in another region")
        }
        407 => fault.hint("Correct the user and the password in `proxy`"),
        409 => fault.hint("Another request for the same object was under way; it is tried again"),
        413 => return fault.retry(Retry::Smaller),
        412 | 501 => {
            fault.hint("The store does not know `If-None-Match: *`, which this sink needs to store nothing twice")
        }
        _ => fault,
    };
    match noted.retry_after() {
        Some(wait) => fault.retry(Retry::After(wait)),
        None => fault,
    }
}

/// The keys that say who we are.
fn credentials(store: &Store) -> &'static str {
    match store {
        Store::S3 { credentials: Some(own), .. } if own.session_token.is_some() => {
            "the sink's `auth.access_key_id`, `auth.secret_access_key` and `auth.session_token`"
        }
        Store::S3 { credentials: Some(_), .. } => "the sink's `auth.access_key_id` and `auth.secret_access_key`",
        Store::S3 { .. } => "the AWS credentials of the environment or of the machine, or set the sink's `auth`",
        Store::Google { credentials_path: Some(_), .. } => "the sink's `credentials_path`",
        Store::Google { .. } => "the identity of the machine, or set the sink's `credentials_path`",
        Store::Azure { access_key: Some(_), .. } => "the sink's `account` and `access_key`",
        Store::Azure { .. } => "the identity of the machine, or set the sink's `access_key`",
        Store::Local(_) => "the rights of the folder",
    }
}

fn where_is(store: &Store) -> &'static str {
    match store {
        Store::S3 { endpoint: Some(_), .. }
        | Store::Google { endpoint: Some(_), .. }
        | Store::Azure { endpoint: Some(_), .. } => "endpoint",
        _ => "url",
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
