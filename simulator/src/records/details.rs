//! The particulars of a message, the same for all of its records and for both generations.

use super::message::{Direction, Outcome, Place, Plan};
use super::world;
use crate::random::{Random, combine};

/// Everything about one message that more than one record tells.
#[derive(Debug, Clone)]
pub struct Details {
    pub domain: String,
    pub sender: String,
    pub sender_domain: String,
    pub sender_header: String,
    pub sender_ip: String,
    pub recipient: String,
    pub message_id: String,
    /// `None` for a connection that was refused before its data.
    pub subject: Option<String>,
    /// Base64url or UUID, without a suffix.
    pub aggregate: String,
    pub tls: Option<(&'static str, &'static str)>,
    pub attachments: Vec<String>,
    pub attachment_bytes: u64,
    pub email_bytes: u64,
    pub rejection: Option<(&'static str, &'static str, &'static str)>,
    /// Name, extension, MIME type of the file that a detection is about.
    pub file: (String, &'static str, &'static str),
    pub url: String,
    /// Randomness for what belongs to this record only. Rows of one message to several recipients share it.
    pub random: Random,
}

impl Details {
    pub fn new(plan: &Plan, account_code: &str) -> Self {
        // The order of the draws is the format: what is drawn later must not move what was drawn before.
        let mut random = Random::new(combine(&[plan.message, 5]));
        let domain = format!("{}.example.com", account_code.to_ascii_lowercase());
        let bad = !matches!(plan.outcome, Outcome::Accepted | Outcome::Sandboxed | Outcome::InternalProtect);
        let outside = random.pick(if bad { &world::VILLAINS[..] } else { &world::PARTNERS[..] });
        let sender_domain = if plan.direction == Direction::Inbound { outside } else { &domain }.to_owned();
        let sender_name = person(&mut random);
        let target_domain = if plan.direction == Direction::Outbound { outside } else { domain.as_str() };
        let mut recipient_name = (0..=plan.recipient).map(|_| person(&mut random)).last().unwrap_or_default();
        // Recipients take a varying number of draws; what follows must not depend on it.
        let mut random = Random::new(combine(&[plan.message, 6]));
        if plan.place == Place::Recipient {
            recipient_name = format!("{recipient_name}+{}", plan.mark);
        }
        let bounce = plan.outcome == Outcome::Accepted && random.chance(40);
        let sender = if bounce { "<>".to_owned() } else { format!("{sender_name}@{sender_domain}") };
        let list = if bad { &world::BAIT_SUBJECTS[..] } else { &world::SUBJECTS[..] };
        let mut subject = random.pick(list).to_owned();
        let mut id = random.hex(24);
        match plan.place {
            Place::Subject => subject = format!("{subject} [{}]", plan.mark),
            Place::MessageId => id = format!("{id}.{}", plan.mark),
            Place::Recipient | Place::FileName | Place::Url => {}
        }
        let refused = plan.outcome == Outcome::Rejected;
        let attachments = attachments(&mut random, refused);
        let attachment_bytes = attachments.iter().map(|_| random.between(900, 4_000_000)).sum();
        let file = random.below(world::FILES.len() as u64) as usize;
        let (stem, extension, mime) = world::FILES[file];
        let stem = if plan.place == Place::FileName { format!("{stem} {}", plan.mark) } else { stem.to_owned() };
        let page = random.hex(8);
        let page = if plan.place == Place::Url { plan.mark.to_string() } else { page };
        Self {
            sender_header: if bounce { format!("postmaster@{sender_domain}") } else { sender.clone() },
            sender_ip: address(&mut random),
            recipient: format!("{recipient_name}@{target_domain}"),
            message_id: format!("<{id}@mail.{sender_domain}>"),
            subject: (!refused).then_some(subject),
            aggregate: if random.chance(100) { random.uuid() } else { random.base64url(22) },
            tls: random.chance(930).then(|| world::CIPHERS[random.below(4) as usize]),
            attachment_bytes,
            email_bytes: attachment_bytes + random.between(1_200, 90_000),
            attachments,
            rejection: refused.then(|| world::REJECTIONS[random.below(world::REJECTIONS.len() as u64) as usize]),
            file: (format!("{stem}.{extension}"), extension, mime),
            url: format!("https://{}/track/{page}?ref=a,b&n={}", random.pick(&world::VILLAINS), random.below(100)),
            random: Random::new(combine(&[plan.message, 7, plan.kind as u64, u64::from(plan.attempt)])),
            domain,
            sender,
            sender_domain,
        }
    }
}

fn person(random: &mut Random) -> String {
    format!("{}.{}", random.pick(&world::FIRST_NAMES), random.pick(&world::LAST_NAMES))
}

/// An address of the three networks that are reserved for documentation.
pub fn address(random: &mut Random) -> String {
    format!("{}.{}", random.pick(&["192.0.2", "198.51.100", "203.0.113"]), random.between(1, 254))
}

fn attachments(random: &mut Random, refused: bool) -> Vec<String> {
    let count = if refused || random.chance(600) { 0 } else { random.between(1, 3) };
    (0..count)
        .map(|_| {
            let (stem, extension, _) = world::FILES[random.below(world::FILES.len() as u64) as usize];
            format!("{stem}.{extension}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::kind::Kind;
    use crate::records::message::{Calendar, Traffic};
    use crate::time::{HOUR, MINUTE};

    /// Mimecast cuts subjects at this many characters (E-fld); what is made here stays below, so no mark is cut.
    const SUBJECT_LIMIT: usize = 150;

    fn plans() -> Vec<Plan> {
        let mut plans = Vec::new();
        Traffic { seed: 3, calendar: Calendar::Working, interval: 15 * MINUTE, events_per_day: 200_000 }
            .plan(1_748_822_400_000 + 9 * HOUR, &mut plans);
        plans
    }

    #[test]
    fn the_records_of_a_message_tell_the_same_story() {
        for pair in plans().windows(2).filter(|pair| pair[0].message == pair[1].message) {
            let (one, other) = (Details::new(&pair[0], "CUSA1A1"), Details::new(&pair[1], "CUSA1A1"));
            assert_eq!(one.aggregate, other.aggregate);
            assert_eq!(one.sender, other.sender);
            assert_eq!(one.email_bytes, other.email_bytes);
        }
    }

    #[test]
    fn rows_of_one_refused_message_differ_in_the_recipient_only() {
        let plans = plans();
        let message = plans
            .iter()
            .find(|plan| plan.outcome == Outcome::Rejected && plan.recipients > 2)
            .map(|plan| plan.message)
            .unwrap();
        let rows: Vec<Details> = plans
            .iter()
            .filter(|plan| plan.message == message && plan.kind == Kind::Receipt)
            .map(|plan| Details::new(plan, "CUSA1A1"))
            .collect();
        let recipients: BTreeSet<&str> = rows.iter().map(|row| row.recipient.as_str()).collect();
        assert_eq!(recipients.len(), rows.len());
        assert!(rows.iter().all(|row| row.message_id == rows[0].message_id && row.sender_ip == rows[0].sender_ip));
    }

    #[test]
    fn subjects_keep_their_limit() {
        for plan in plans() {
            let subject = Details::new(&plan, "CUSA1A1").subject.unwrap_or_default();
            assert!(subject.chars().count() <= SUBJECT_LIMIT, "{subject}");
        }
    }
}
