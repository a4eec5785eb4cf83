//! `POST /api/account/get-account` and `POST /api/login/discover-authentication` (sections 1.5 and 6.12).

use serde_json::json;

use crate::body;
use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response};
use crate::settings::Credentials;
use crate::simulator::Simulator;
use crate::time::Millis;

impl Simulator {
    /// The best connection test: who the account is.
    pub(crate) fn account(&mut self, tenant: usize, _request: &Request, _now: Millis) -> Response {
        let tenant = &self.tenants[tenant].tenant;
        let code = &tenant.account_code;
        let domain = format!("{}.example.com", code.to_ascii_lowercase());
        let account = json!({
            "region": "eu", "archive": true, "gateway": true, "supportCode": "0000", "maxRetention": 30, "type": "full",
            "policyInheritance": false, "databaseCode": "eu1", "accountCode": code, "accountName": tenant.name,
            "adminEmail": format!("admin@{domain}"), "contactEmail": format!("contact@{domain}"),
            "contactName": "Example Contact", "telephone": "000", "domain": domain, "userCount": 100,
            "mimecastId": format!("{code}-1"), "adminSessionTimeout": 60, "exgestAllowQuery": true,
            "exgestAllowExtraction": false,
            "packages": ["URL Protection (Site) [1043]", "Attachment Protection (Site) [1044]"],
        });
        Response::json(
            200,
            &json!({"meta": {"status": 200, "pagination": {"pageSize": 1}}, "data": [account], "fail": []}),
        )
    }

    /// Unsigned: which base URL serves an administrator's address. An unknown address gets no `region`.
    pub(crate) fn discovery(&mut self, request: &Request, now: Millis) -> (Option<usize>, Response) {
        for name in ["x-mc-app-id", "x-mc-req-id", "x-mc-date"] {
            if request.header_value(name).is_none_or(str::is_empty) {
                return (None, errors::envelope(400, "err_validation_blank", &format!("{name} is missing")));
            }
        }
        let body = body::read(&request.body, self.settings.lenient).unwrap_or_default();
        let Some(address) = body["data"][0]["emailAddress"].as_str() else {
            let error = ("err_validation_null", "emailAddress", "The field must not be null");
            return (None, errors::fields(200, &json!({}), &[error]));
        };
        let tenant = self.tenants.iter().position(|state| {
            matches!(&state.tenant.credentials, Credentials::V1 { email, .. } if email.eq_ignore_ascii_case(address))
        });
        let mut data = json!({"emailAddress": address, "authenticate": ["Basic-Cloud"]});
        if let Some(tenant) = tenant {
            if let Some(response) = self.general_fault(tenant, Endpoint::Discovery, false, now) {
                return (Some(tenant), response);
            }
            data["region"] = json!({"code": "eu", "api": self.settings.api_url.trim_end_matches('/')});
        }
        (tenant, Response::json(200, &json!({"meta": {"status": 200}, "data": [data], "fail": []})))
    }
}
