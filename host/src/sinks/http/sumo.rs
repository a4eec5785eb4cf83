//! An HTTP source of Sumo Logic: lines to a secret URL; what they are is said by headers, for all lines of a request.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Client, Payload, headers, terms};
use crate::config::SumoOptions;
use crate::deliver::{Batch, Head, Origin};
use crate::outside::Outside;
use crate::sinks::{DeliverFuture, Sink, SinkError, SinkFuture, Terms};
use crate::template::Template;

/// See the module.
pub struct Sumo {
    client: Client,
    /// Headers and what stands in them.
    said: Vec<(HeaderName, Template)>,
    fields: Vec<(String, Template)>,
}

const NAME: HeaderName = HeaderName::from_static("x-sumo-name");
const HOST: HeaderName = HeaderName::from_static("x-sumo-host");
const CATEGORY: HeaderName = HeaderName::from_static("x-sumo-category");
const FIELDS: HeaderName = HeaderName::from_static("x-sumo-fields");

impl Sumo {
    /// # Errors
    /// As [`Client::new`].
    pub fn new(id: &str, options: &SumoOptions, outside: &Outside) -> Result<Self, SinkError> {
        let of = |name, template: &Option<Template>| template.clone().map(|template| (name, template));
        let said =
            [of(NAME, &options.source_name), of(HOST, &options.source_host), of(CATEGORY, &options.source_category)];
        Ok(Self {
            client: Client::new(id, &options.client, outside)?,
            said: said.into_iter().flatten().collect(),
            fields: options.fields.clone(),
        })
    }

    /// What is said of an event.
    fn describe(&self, origin: &Origin, event: &Head) -> Vec<(HeaderName, String)> {
        let render = |template: &Template| template.render(origin, event, |text| plain(text, ""));
        let mut said: Vec<_> = self.said.iter().map(|(name, template)| (name.clone(), render(template))).collect();
        let fields = self.fields.iter().map(|(name, template)| {
            // A comma ends a field.
            format!("{name}={}", template.render(origin, event, |text| plain(text, ",=")))
        });
        let fields: Vec<String> = fields.collect();
        if !fields.is_empty() {
            said.push((FIELDS, fields.join(",")));
        }
        said
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.said.iter().map(|(_, template)| template).chain(self.fields.iter().map(|(_, template)| template))
    }

    fn headers(&self, batches: &[Arc<Batch>]) -> HeaderMap {
        let mut headers = headers([(CONTENT_TYPE, "application/x-ndjson")]);
        // All are of one group.
        let first = batches.iter().find_map(|batch| Some((&batch.origin, batch.events.first()?)));
        let said = first.map(|(origin, event)| self.describe(origin, event)).unwrap_or_default();
        for (name, value) in said {
            headers.extend(HeaderValue::from_bytes(value.as_bytes()).ok().map(|value| (name, value)));
        }
        headers
    }
}

impl Sink for Sumo {
    fn terms(&self) -> Terms {
        let groups = self.templates().any(|template| !template.is_fixed());
        Terms { groups, ..terms(self.client.options(), 0) }
    }

    fn group(&self, origin: &Origin, event: &Head) -> Option<Box<str>> {
        let said = self.describe(origin, event).into_iter().map(|(_, value)| value);
        Some(said.collect::<Vec<_>>().join("\n").into())
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            self.client.deliver("", self.headers(batches), Payload::lines(batches)).await?;
            Ok(Vec::new())
        })
    }

    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            match self.client.options().healthcheck {
                true => self.client.is_there().await,
                false => Ok(()),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

/// What is filled in, as a header can hold it, with these signs as an underscore.
fn plain(text: &str, signs: &str) -> String {
    text.chars().map(|c| if c.is_control() || signs.contains(c) { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests;
