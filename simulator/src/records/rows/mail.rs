//! The message that a row is about. All rows of one happening tell the same of it.

use serde_json::{Value, json};

use super::{Row, Rows};
use crate::random::{Random, combine};
use crate::records::details::address;
use crate::records::world;

/// Where the mark of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Subject,
    MessageId,
    /// The only one that differs between the recipients of a message.
    Recipient,
    /// In a field of the row's own.
    Elsewhere,
}

/// A message, seen by one of its recipients.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Lower case.
    pub route: &'static str,
    /// Of the envelope; `<>` for a bounce.
    pub sender: String,
    pub sender_name: String,
    pub sender_domain: String,
    pub recipient: String,
    pub recipient_name: String,
    pub subject: String,
    pub message_id: String,
    pub ip: String,
}

impl Mail {
    /// The place that suits a row: the recipient's if there are several.
    pub fn place(row: &Row) -> Place {
        match row.mark.0 % 5 {
            _ if row.of > 1 => Place::Recipient,
            0 | 1 => Place::MessageId,
            2 => Place::Recipient,
            _ => Place::Subject,
        }
    }

    pub fn new(rows: &Rows, row: &Row, routes: &[&'static str], bad: bool, place: Place) -> Self {
        let mut random = Random::new(combine(&[row.seed, 35]));
        let route = routes[random.below(routes.len() as u64) as usize];
        let outside = random.pick(if bad { &world::VILLAINS[..] } else { &world::PARTNERS[..] });
        let own = rows.domain.as_str();
        let (sender_domain, target) = match route {
            "outbound" => (own, outside),
            "internal" => (own, own),
            _ => (outside, own),
        };
        let sender_name = person(&mut random);
        let bounce = route != "internal" && random.chance(50);
        let mut subject = random.pick(if bad { &world::BAIT_SUBJECTS[..] } else { &world::SUBJECTS[..] }).to_owned();
        let mut id = random.hex(24);
        let ip = address(&mut random);
        let recipient_name = person(&mut Random::new(combine(&[row.seed, 36, u64::from(row.index)])));
        let mut local = recipient_name.to_lowercase().replace(' ', ".");
        match place {
            Place::Subject => subject = format!("{subject} [{}]", row.mark),
            Place::MessageId => id = format!("{id}.{}", row.mark),
            Place::Recipient => local = format!("{local}+{}", row.mark),
            Place::Elsewhere => {}
        }
        let sender = format!("{}@{sender_domain}", sender_name.to_lowercase().replace(' ', "."));
        Self {
            route,
            sender: if bounce { "<>".to_owned() } else { sender },
            sender_name,
            sender_domain: sender_domain.to_owned(),
            recipient: format!("{local}@{target}"),
            recipient_name,
            subject,
            message_id: format!("<{id}@mail.{sender_domain}>"),
            ip,
        }
    }

    /// `{"displayableName":…,"emailAddress":…}` of the sender.
    pub fn from(&self, name: &str) -> Value {
        json!({"displayableName": name, "emailAddress": self.sender})
    }
}

/// `Ada Abbot`.
pub fn person(random: &mut Random) -> String {
    let capital = |text: &str| text[..1].to_uppercase() + &text[1..];
    format!("{} {}", capital(random.pick(&world::FIRST_NAMES)), capital(random.pick(&world::LAST_NAMES)))
}

/// A file's name, its extension and its MIME type.
pub fn file(random: &mut Random, sign: Option<String>) -> (String, &'static str, &'static str) {
    let (stem, extension, mime) = world::FILES[random.below(world::FILES.len() as u64) as usize];
    let stem = sign.map_or_else(|| stem.to_owned(), |sign| format!("{stem} {sign}"));
    (format!("{stem}.{extension}"), extension, mime)
}
