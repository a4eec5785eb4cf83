//! How much happens to a tenant besides its gateway's mail and its audit events.

use crate::kind::{Generation, Kind};

/// Records a day of each stream, on an average working day. Zero is a stream without records.
///
/// The releases of held messages have no rate: they follow from the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Cloud Integrated, its three kinds together.
    pub cloud: u64,
    pub dlp: u64,
    pub held: u64,
    pub rejections: u64,
    pub ttp_url: u64,
    pub ttp_attachment: u64,
    pub ttp_impersonation: u64,
    pub threat_customer: u64,
    pub threat_grid: u64,
    pub archive_search: u64,
    pub archive_user_search: u64,
    pub archive_view: u64,
}

impl Rates {
    /// The mix that goes with so many SIEM records a day: about a quarter as many rows in all lists together. What a
    /// generation does not have stays at zero.
    pub fn beside(events_per_day: u64, generation: Generation) -> Self {
        let share = |parts: u64| (events_per_day * parts / 1000).max(8);
        let newer = |parts: u64| if generation == Generation::V2 { share(parts) } else { 0 };
        Self {
            cloud: newer(120),
            dlp: share(25),
            held: share(40),
            rejections: newer(50),
            ttp_url: share(60),
            ttp_attachment: share(30),
            ttp_impersonation: share(20),
            threat_customer: share(8),
            threat_grid: share(24),
            archive_search: share(6),
            archive_user_search: share(4),
            archive_view: share(8),
        }
    }

    /// Of a kind. Of the releases: that of the messages.
    pub(crate) const fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::CloudEntities | Kind::CloudMailflow | Kind::CloudUrlClick => self.cloud,
            Kind::Dlp => self.dlp,
            Kind::Held | Kind::HeldRelease => self.held,
            Kind::Rejection => self.rejections,
            Kind::TtpUrl => self.ttp_url,
            Kind::TtpAttachment => self.ttp_attachment,
            Kind::TtpImpersonation => self.ttp_impersonation,
            Kind::ThreatCustomer => self.threat_customer,
            Kind::ThreatGrid => self.threat_grid,
            Kind::ArchiveSearch => self.archive_search,
            Kind::ArchiveUserSearch => self.archive_user_search,
            Kind::ArchiveView => self.archive_view,
            _ => 0,
        }
    }
}
