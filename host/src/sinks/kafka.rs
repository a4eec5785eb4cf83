//! Events into Kafka, by an idempotent producer that waits for all replicas in sync (`acks=all`).
//!
//! The broker drops what this producer sends again by itself. What comes again after a delivery failed as a whole, or after
//! a restart, is there twice: readers tell by the header `tributary-id`, and by the key unless that is set otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::{DeliveryFuture, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, ClientContext};

use super::{Answer, Concurrency, DeliverFuture, Retry, Sink, SinkError, SinkFuture, Terms};
use crate::config::{KafkaCompression, KafkaOptions, is_topic_character};
use crate::deliver::{Batch, Head, Origin};

/// What the protocol and librdkafka add to each event, with its key and its header.
const OVERHEAD: usize = 128;

/// Fewer than librdkafka's queue takes.
const MAX_EVENTS: usize = 50_000;

/// In which the brokers must have taken an event; then it comes again.
const PATIENCE: Duration = Duration::from_secs(60);

/// For what is asked without any event.
const ANSWER: Duration = Duration::from_secs(10);

/// Of a topic's name, in characters.
const LONGEST: usize = 249;

/// What librdkafka says beside its answers: why no broker could be reached, for one.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Option<Saying>>>);

/// The code, where it has one, and the words.
type Saying = (Option<RDKafkaErrorCode>, String);

impl Said {
    fn take(&self) -> Option<Saying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Said {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka, {facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = error.rdkafka_error_code();
        // That none is left says less than what was wrong with the last.
        if said.is_none() || code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *said = Some((code, reason.to_owned()));
        }
    }
}

type Client = FutureProducer<Said>;

/// See the module.
pub struct Kafka {
    options: KafkaOptions,
    config: ClientConfig,
    /// One that met a fatal error is replaced.
    producer: Mutex<Client>,
    said: Said,
}

impl Kafka {
    /// # Errors
    /// When librdkafka does not take the options.
    pub fn new(options: &KafkaOptions) -> Result<Self, SinkError> {
        let config = config(options);
        let said = Said::default();
        let producer = Client::from_config_and_context(&config, said.clone()).map_err(|error| unusable(&error))?;
        Ok(Self { options: options.clone(), config, producer: Mutex::new(producer), said })
    }

    fn producer(&self) -> Result<Client, SinkError> {
        let mut producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = producer.client().fatal_error() {
            tracing::warn!("the Kafka producer is replaced after a fatal error: {reason}");
            *producer =
                Client::from_config_and_context(&self.config, self.said.clone()).map_err(|error| unusable(&error))?;
        }
        Ok(producer.clone())
    }

    fn topic(&self, origin: &Origin, event: &Head) -> String {
        let clean = |text: &str| text.chars().map(|c| if is_topic_character(c) { c } else { '_' }).collect::<String>();
        let mut topic = self.options.topic.render(origin, event, clean);
        // All of it is ASCII.
        topic.truncate(LONGEST);
        topic
    }

    async fn produce(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let producer = self.producer()?;
        let mut answers = Vec::new();
        let mut waiting: Vec<(usize, usize, DeliveryFuture)> = Vec::new();
        let mut copied = 0;
        for (number, batch) in batches.iter().enumerate() {
            for (index, event) in batch.events.iter().enumerate() {
                let id = format!("{:032x}", event.id);
                let key = match &self.options.key {
                    Some(template) => template.render(&batch.origin, event, str::to_owned),
                    None => id.clone(),
                };
                let topic = self.topic(&batch.origin, event);
                let header = Header { key: "tributary-id", value: Some(id.as_bytes()) };
                let record = FutureRecord::to(&topic)
                    .key(&key)
                    .payload(batch.body(event))
                    .timestamp(i64::try_from(event.time / 1_000_000).unwrap_or(i64::MAX))
                    .headers(OwnedHeaders::new_with_capacity(1).insert(header));
                copied += record.payload.map_or(0, <[u8]>::len) + key.len() + id.len();
                match producer.send_result(record) {
                    Ok(delivery) => waiting.push((number, index, delivery)),
                    Err((error, _)) if is_too_long(&error) => {
                        let reason = "it is longer than `librdkafka_options.\"message.max.bytes\"` of the sink";
                        answers.push(Answer::refused(number, index, reason));
                    }
                    Err((error, _)) => answers.push(self.judge(number, index, &error)),
                }
            }
        }
        // librdkafka takes a copy of each.
        super::copied::count(copied);
        for (number, index, delivery) in waiting {
            let delivered: Result<OwnedDeliveryResult, _> = delivery.await;
            match delivered {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => answers.push(self.judge(number, index, &error)),
                Err(_) => answers.push(Answer::again(number, index, SinkError::new("the producer broke off"))),
            }
        }
        Ok(answers)
    }

    fn judge(&self, number: usize, index: usize, error: &KafkaError) -> Answer {
        match error.rdkafka_error_code() {
            // A broker says so of what came in one batch, not of the event.
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                let reason = "it is longer than the topic takes (max.message.bytes), or was together with others";
                Answer::again(number, index, SinkError::new(reason).retry(Retry::Smaller))
            }
            // Of these too; which record it means does not get here.
            Some(
                code @ (RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidDifferentRecord),
            ) => {
                let error = SinkError::new(format!("the broker refuses the record: {code}"));
                Answer::again(number, index, error.retry(Retry::Smaller))
            }
            _ => Answer::again(number, index, self.fault(error)),
        }
    }

    fn fault(&self, error: &KafkaError) -> SinkError {
        use RDKafkaErrorCode as Code;
        let mut code = error.rdkafka_error_code();
        let mut reason = code.map_or_else(|| error.to_string(), |code| code.to_string());
        // That it took too long has a cause, which was said before.
        if matches!(code, Some(Code::MessageTimedOut | Code::BrokerTransportFailure | Code::OperationTimedOut))
            && let Some((cause, said)) = self.said.take()
        {
            // The code of a broken connection does not say at what it broke; the text does.
            let in_tls = said.contains("SSL_HANDSHAKE") || said.contains("SSL handshake");
            (code, reason) = (if in_tls { Some(Code::SSL) } else { cause }, format!("{reason}: {said}"));
        }
        let fault = SinkError::new(format!("the brokers did not take it: {reason}"));
        match code {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                fault.hint("Make the topic, or correct the sink's `topic`")
            }
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                fault.hint("Let the user of the sink's `sasl` write to its `topic` (and IdempotentWrite to the cluster)")
            }
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
                fault.hint("Correct the sink's `sasl`; the brokers do not accept it")
            }
            Some(Code::SSL) => fault.hint(
                "Check that the port speaks TLS, and name the authority that signed the brokers' certificates with `tls.ca_file`",
            ),
            Some(Code::UnsupportedCompressionType) => fault.hint("Choose another `compression`"),
            _ => fault.hint(
                "Check the sink's `bootstrap_servers`, and whether the brokers are up and reachable by the names that they give themselves (advertised.listeners)",
            ),
        }
    }
}

fn is_too_long(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn unusable(error: &KafkaError) -> SinkError {
    let reason = match error {
        // The value may be a secret.
        KafkaError::ClientConfig(_, why, key, _) => format!("`{key}`: {why}"),
        _ => error.to_string(),
    };
    SinkError::new(format!("the Kafka client does not take its options: {reason}"))
        .hint("Correct the sink's `tls`, `sasl` or `librdkafka_options`")
}

fn config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("client.id", "tributary").set("log.connection.close", "false");
    for (name, value) in &options.librdkafka_options {
        config.set(name, value.expose());
    }
    let patience = PATIENCE.as_millis().to_string();
    config
        .set("bootstrap.servers", &options.bootstrap_servers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", patience)
        .set("compression.type", codec(options.compression));
    let (mut tls, mut sasl) = (false, false);
    if let Some(own) = &options.tls {
        tls = true;
        let files = [
            ("ssl.ca.location", &own.ca_file),
            ("ssl.certificate.location", &own.crt_file),
            ("ssl.key.location", &own.key_file),
        ];
        for (key, path) in files {
            if let Some(path) = path {
                config.set(key, path);
            }
        }
        if let Some(pass) = &own.key_pass {
            config.set("ssl.key.password", pass.expose());
        }
        config.set("enable.ssl.certificate.verification", own.verify_certificate.to_string());
        config.set("ssl.endpoint.identification.algorithm", if own.verify_hostname { "https" } else { "none" });
    }
    if let Some(own) = &options.sasl {
        sasl = true;
        config.set("sasl.mechanism", own.mechanism);
        config.set("sasl.username", &own.username).set("sasl.password", own.password.expose());
    }
    let protocol = match (tls, sasl) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    config
}

fn codec(compression: KafkaCompression) -> &'static str {
    match compression {
        KafkaCompression::None => "none",
        KafkaCompression::Gzip => "gzip",
        KafkaCompression::Snappy => "snappy",
        KafkaCompression::Lz4 => "lz4",
        KafkaCompression::Zstd => "zstd",
    }
}

impl Sink for Kafka {
    fn terms(&self) -> Terms {
        Terms { max_events: MAX_EVENTS, overhead: OVERHEAD, concurrency: Concurrency::Fixed(1), ..Terms::default() }
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.produce(batches))
    }

    /// Whether a broker answers, and has the topic if there is only one.
    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            let producer = self.producer()?;
            let topic = self.options.topic.is_fixed().then(|| self.options.topic.prefix().to_owned());
            let asked = tokio::task::spawn_blocking(move || {
                let metadata = producer.client().fetch_metadata(topic.as_deref(), ANSWER)?;
                let broken = topic.and_then(|topic| {
                    let found = metadata.topics().iter().find(|found| found.name() == topic)?;
                    found.error().map(|error| KafkaError::MetadataFetch(error.into()))
                });
                broken.map_or(Ok(()), Err)
            });
            match asked.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(self.fault(&error)),
                Err(error) => Err(SinkError::new(format!("the sink broke off: {error}"))),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Format, SinkKind};

    fn options(lines: &str) -> KafkaOptions {
        loaded("", lines).0
    }

    /// With what stands at the top; and the warnings.
    fn loaded(top: &str, lines: &str) -> (KafkaOptions, Vec<String>) {
        let text = format!(
            "{top}\n[sources.acme]\ntype = \"mimecast\"\n[sinks.x]\ntype = \"kafka\"\ninputs = [\"*\"]\nbootstrap_servers = \"127.0.0.1:1\"\n{lines}"
        );
        let mut loaded = config::parse(&text, Format::Toml, "test.toml", &|_| None).unwrap();
        let SinkKind::Kafka(options) = loaded.config.sinks.remove("x").unwrap().kind else { panic!() };
        (*options, loaded.warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_librdkafka_is_told() {
        let lines = "sasl = { mechanism = \"SCRAM-SHA-512\", username = \"u\", password = \"p\" }\ntls = { verify_hostname = false }\nlibrdkafka_options = { \"linger.ms\" = 20 }";
        let config = config(&options(lines));
        for (key, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("ssl.endpoint.identification.algorithm", "none"),
            ("enable.ssl.certificate.verification", "true"),
            ("linger.ms", "20"),
            ("acks", "all"),
            ("enable.idempotence", "true"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
        Kafka::new(&options(lines)).unwrap();
        let error = Kafka::new(&options("librdkafka_options = { \"linger.s\" = \"hunter2\" }")).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("linger.s") && error.contains("librdkafka_options"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn tls_at_the_top_holds_where_the_sink_speaks_tls() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
            path.display().to_string()
        };
        let (shared, own) = (file("shared.pem"), file("own.pem"));
        let top = format!("tls = {{ ca_file = \"{shared}\", verify_hostname = false }}");
        let set = |top: &str, lines: &str| {
            let (options, warnings) = loaded(top, lines);
            let config = config(&options);
            let keys = ["security.protocol", "ssl.ca.location", "ssl.endpoint.identification.algorithm"];
            (keys.map(|key| config.get(key).unwrap_or_default().to_owned()), warnings.join("\n"))
        };
        assert_eq!(set(&top, "tls.enabled = true").0, ["ssl", &shared, "none"]);
        assert_eq!(set(&top, &format!("tls.ca_file = \"{own}\"")).0, ["ssl", &own, "none"]);
        // Nobody who writes no table wants TLS.
        assert_eq!(set(&top, "").0, ["plaintext", "", ""]);
        assert_eq!(set(&top, "tls.enabled = false").0, ["plaintext", "", ""]);
        let newer = "tls.min_tls_version = \"1.3\"";
        let warned = |lines: &str| set(newer, lines).1.contains("`tls.min_tls_version` at the top is not heeded");
        assert!(warned("tls.enabled = true") && !warned(""));
    }

    #[test]
    fn topics_are_clean() {
        let sink = Kafka::new(&options("topic = \"logs.{tenant}.{stream}\"")).unwrap();
        let origin = Origin { source: "s".into(), tenant: "Ä b".into(), stream: "siem/receipt".into() };
        let event = Head { id: 0, time: 0, kind: 0, class: 0, severity: 0, alert_key: None, begin: 0, end: 1 };
        assert_eq!(sink.topic(&origin, &event), "logs.__b.siem_receipt");
        let origin = Origin { tenant: "x".repeat(300).into(), ..origin };
        assert_eq!(sink.topic(&origin, &event).len(), LONGEST);
    }
}
