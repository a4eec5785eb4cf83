//! What an operator is told to do where several faults end in the same. What an endpoint needs stands with the endpoint.
//!
//! Mimecast's own advice is that of sections 1.3, 1.6, 2.3 and 8 of the API reference.

/// For what passes by itself.
pub const RETRY: &str = "Wait: it is tried again. If it stays for an hour, look at Mimecast's service status, then ask its support with \
                         this message";
/// For answers that this release does not understand.
pub const REPORT: &str =
    "Wait: it is tried again. If it stays, report it with this message: the answer has a form that is not known";
/// For what the vendor no longer serves from where the stream was.
pub const LOST: &str = "With `on_position_lost` = \"oldest\", the default, there is nothing to do: the stream goes on with the oldest that \
                        Mimecast still has, and what is lost is reported as a gap. Set it to \"now\" or \"stop\" for another way";
pub const EXPIRED: &str = "Set the \"Authentication Cache TTL\" of the service user's authentication profile to Never Expires, or new keys \
                       expire as well. Then make new keys for the service user and set `access_key` and `secret_key`";
pub const APPLICATION: &str = "Check `app_id`: Mimecast does not know this application. Copy the Application ID of the API 1.0 application \
                           again. For an application of API 2.0, which has a client id, set `api` to \"2.0\"";
pub const REGION: &str = "Set `region` to the account's own; or leave `region` and `base_url` out and set `administrator_email`, so that \
                      Mimecast is asked where the account is";
pub const QUOTA: &str = "Wait: it goes on when Mimecast's window has passed. If it comes often, give this collector credentials of its \
                     own, or set longer `intervals`: whatever else uses the same keys counts too";
pub const REDIRECT: &str =
    "Redirects are not followed with credentials. Check `base_url`, and whether a proxy answers instead of Mimecast";
pub const SIGNATURE: &str = "Mimecast does not tell which is wrong, so try in this order: 1. copy `access_key`, `secret_key` and `app_key` \
                         again, all of one application and service user; 2. set `region` to the account's own, or leave it out and \
                         set `administrator_email`; 3. make new keys if these were made before the user got a Basic Administrator \
                         role: such keys do not work; 4. if the keys are of API 2.0, set `api` to \"2.0\"";
pub const TOKEN: &str = "Wait: a new token is fetched. If that is refused as well, check that the API 2.0 application is still enabled, and \
                     leave `region` and `base_url` out";
pub const PASSING: &str = "Wait: Mimecast answers this at times though the credentials are good, so it is tried again. If it stays for an \
                       hour, check that the API 2.0 application is enabled, and make it a new secret";
