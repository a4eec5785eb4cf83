//! What happens in a run, all of it drawn from the seed before the run begins.

use std::time::Duration;

use mimecast_simulator as sim;
use serde_json::{Value, json};
use tributary_host::config::OnPositionLost;
use tributary_tests::guest;

use crate::bugs::Bug;
use crate::dice::Dice;
use crate::disk::DiskFaults;
use crate::far::Manner;
use crate::faults;
use crate::life::POINTS;
use crate::tap::Poison;

pub const TENANT: &str = "acme";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// See the module.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub seed: u64,
    pub settings: sim::Settings,
    /// Streams of the source, by the names of the catalogue.
    pub streams: Vec<&'static str>,
    pub lives: Vec<LifePlan>,
    /// Whether the last process goes on when the faults end, or a new one begins.
    pub heals_in_place: bool,
    pub poison: Poison,
    pub real_component: bool,
    pub on_position_lost: OnPositionLost,
    pub bug: Option<Bug>,
}

/// One process.
#[derive(Debug, Clone)]
pub struct LifePlan {
    /// Where it crashes, and how often that point is passed before. `None` for one that is stopped in good order.
    pub end: Option<(&'static str, u64)>,
    /// It ends after this time at the latest.
    pub lasts: Duration,
    /// How long nothing runs afterwards.
    pub down: Duration,
    /// Streams that this process does not collect.
    pub left_out: Vec<&'static str>,
    /// Keys of the source that differ from process to process.
    pub tuning: Value,
    pub sinks: Vec<Manner>,
    pub faults: Vec<(sim::Fault, sim::When)>,
    pub disk: DiskFaults,
    /// Of a thousand appends of dead letters, so many fail.
    pub failing_letters: u64,
    /// Of a thousand requests, so many are cut at each of three places.
    pub cuts: u64,
    /// Of a thousand pulls, so many break down.
    pub breakdowns: u64,
    /// How wrong the host's clock is in this life, in milliseconds, and how far the source's jumps in it, and when.
    pub skew_ms: i64,
    pub jump_ms: i64,
    pub jump_from: Duration,
    pub in_flight_bytes: usize,
}

impl Scenario {
    /// The scenario of a seed. One in a hundred has the real component.
    pub fn new(seed: u64) -> Self {
        let dice = Dice::new(seed ^ 0x5eed);
        let real_component = seed % 100 == 7;
        let v1 = dice.chance(300);
        let mut streams: Vec<&'static str> = Vec::new();
        let families: &[&[&str]] = if v1 { &V1_FAMILIES } else { &V2_FAMILIES };
        let batch_mode = dice.chance(850);
        for _ in 0..dice.between(1, 3) {
            let family = *dice.pick::<&[&str]>(families);
            let stream = *dice.pick(family);
            let left_out = !v1 && (if batch_mode { stream == "siem/events" } else { is_batch(stream) });
            let stream = if left_out { "audit" } else { stream };
            if !streams.contains(&stream) {
                streams.push(stream);
            }
        }
        let backlog = dice.span(HOUR, 10 * HOUR);
        let mut settings = settings(&dice, seed, v1, &streams, backlog);
        let mut sinks = sinks(&dice);
        let count = dice.between(2, 4);
        if (0..count).any(|number| point(seed * 4 + number).starts_with("letters")) {
            // So that there are some. A sink refuses the same events for ever.
            sinks[0].refuses = sinks[0].refuses.max(50);
        }
        let mut lives: Vec<_> = (0..count).map(|number| life(&dice, seed * 4 + number, &streams, &sinks)).collect();
        let kept_a_week = streams.iter().all(|stream| stream.starts_with("siem") || stream.starts_with("cloud"));
        if kept_a_week && dice.chance(120) {
            lives[0].down = long_stop(&dice, streams.contains(&"siem/events"));
            if dice.chance(500) {
                // Nothing was read to its end before.
                stand_still(&dice, &streams, &mut lives[0]);
            }
            settings.tenants[0].events_per_day /= 5;
            settings.tenants[0].rates.cloud /= 5;
        }
        Self {
            seed,
            settings,
            streams,
            lives,
            heals_in_place: dice.chance(400),
            poison: Poison { seed: dice.number(), per_mille: if dice.chance(150) { 20 } else { 0 } },
            real_component,
            on_position_lost: OnPositionLost::Oldest,
            bug: None,
        }
    }

    /// The same with a planted bug, in a scenario where it can show.
    pub fn with(seed: u64, bug: Bug) -> Self {
        Self { bug: Some(bug), ..Self::without(seed, bug) }
    }

    /// That scenario without the bug.
    pub fn without(seed: u64, bug: Bug) -> Self {
        let mut scenario = Self { real_component: false, ..Self::new(seed) };
        // Seldom enough that an arbitrary run has it: a file that is gone for ever, or damaged at every try.
        let fault = match bug {
            Bug::GapNotReported | Bug::LostBesideGoneFile => (sim::Fault::UrlGoneForever, sim::When::First(1)),
            Bug::LostBesideDamagedFile => (sim::Fault::TruncatedGzip, sim::When::First(4)),
            _ => return scenario,
        };
        if scenario.settings.tenants[0].generation() == sim::Generation::V2 {
            scenario.streams = vec!["siem/receipt"];
            scenario.settings.tenants[0].events_per_day = 400;
            for life in &mut scenario.lives {
                life.left_out.clear();
                life.tuning = json!({});
                life.faults = vec![fault.clone()];
            }
        }
        scenario
    }

    /// The source's configuration, as the component is given it.
    pub fn source(&self, life: &LifePlan) -> Value {
        let mut configuration = guest::configuration(&self.settings.tenants[0]);
        let collect: Vec<_> = self.streams.iter().filter(|stream| !life.left_out.contains(stream)).collect();
        configuration["collect"] = json!(collect);
        if self.streams.contains(&"siem/events") {
            configuration["siem_mode"] = json!("stream");
        }
        for (key, value) in life.tuning.as_object().into_iter().flatten() {
            configuration[key] = value.clone();
        }
        configuration
    }

    /// Sinks that every process has and that positions wait for.
    pub fn base_sinks(&self) -> Vec<Manner> {
        let always = |id: &str| self.lives.iter().all(|life| life.sinks.iter().any(|manner| manner.id == id));
        let first = self.lives[0].sinks.iter();
        first.filter(|manner| manner.acknowledgements && always(manner.id)).cloned().collect()
    }

    /// The stream in which a record of the simulator's stream comes, if it is collected.
    pub fn carrier(&self, stream: &str) -> Option<&'static str> {
        let whole = self.streams.iter().find(|name| **name == "siem/events");
        let named = self.streams.iter().find(|name| **name == stream);
        named.or(whole.filter(|_| stream.starts_with("siem/"))).copied()
    }
}

const SIEM: [&str; 10] = [
    "siem/receipt",
    "siem/process",
    "siem/delivery",
    "siem/journal",
    "siem/spam",
    "siem/av",
    "siem/attachment-protect",
    "siem/url-protect",
    "siem/impersonation-protect",
    "siem/internal-email-protect",
];
const CLOUD: [&str; 3] = ["cloud/entities", "cloud/mailflow", "cloud/urlclick"];
const TTP: [&str; 3] = ["ttp/url", "ttp/attachment", "ttp/impersonation"];
const THREAT: [&str; 2] = ["threat_intel/customer", "threat_intel/grid"];
const ARCHIVE: [&str; 3] = ["archive/search", "archive/user-search", "archive/view"];
const V2_FAMILIES: [&[&str]; 10] = [
    &SIEM,
    &SIEM,
    &["siem/events"],
    &CLOUD,
    &["audit"],
    &["dlp", "rejections"],
    &["held/messages", "held/releases"],
    &TTP,
    &THREAT,
    &ARCHIVE,
];
const V1_FAMILIES: [&[&str]; 7] =
    [&["siem"], &["siem"], &["audit"], &["dlp", "held/messages"], &TTP, &THREAT, &ARCHIVE];

fn is_batch(stream: &str) -> bool {
    stream.starts_with("siem/") && stream != "siem/events"
}

fn settings(dice: &Dice, seed: u64, v1: bool, streams: &[&str], backlog: Duration) -> sim::Settings {
    let mut tenant = if v1 { sim::Tenant::v1(TENANT, 0) } else { sim::Tenant::v2(TENANT, 0) };
    tenant.audit_events_per_day = 0;
    for stream in streams {
        let rate = dice.between(50, 500);
        let rates = &mut tenant.rates;
        match *stream {
            "audit" => tenant.audit_events_per_day = rate,
            "siem" | "siem/events" => tenant.events_per_day = rate,
            name if name.starts_with("siem/") => tenant.events_per_day = 2 * rate,
            name if name.starts_with("cloud/") => rates.cloud = 2 * rate,
            "dlp" => rates.dlp = rate,
            "held/messages" | "held/releases" => rates.held = rate,
            "rejections" => rates.rejections = rate,
            "ttp/url" => rates.ttp_url = rate,
            "ttp/attachment" => rates.ttp_attachment = rate,
            "ttp/impersonation" => rates.ttp_impersonation = rate,
            "threat_intel/customer" => rates.threat_customer = rate / 2,
            "threat_intel/grid" => rates.threat_grid = rate / 2,
            "archive/search" => rates.archive_search = rate,
            "archive/user-search" => rates.archive_user_search = rate,
            "archive/view" => rates.archive_view = rate,
            other => unreachable!("{other}"),
        }
    }
    sim::Settings {
        seed,
        // Any hour of any day of the week.
        start_ms: sim::Settings::default().start_ms + dice.between(0, 7 * 24 * 60) * 60_000,
        backlog_ms: backlog.as_millis() as u64,
        records_per_file: dice.between(3, 60) as usize,
        members_per_archive: dice.between(1, 6) as usize,
        archive: *dice.pick(&[sim::ArchiveForm::Descriptors, sim::ArchiveForm::SizesAhead, sim::ArchiveForm::Stored]),
        feed_page: dice.between(2, 20) as usize,
        stream_overlap: dice.between(0, 4) as usize,
        inclusive_window_ends: dice.chance(500),
        ..guest::settings(vec![tenant])
    }
}

/// Nobody runs it for so long: for hours or days, for nearly as long as Mimecast keeps what it has, or for longer. What was not
/// yet read before grows too old earlier than what comes meanwhile.
fn long_stop(dice: &Dice, is_kept_a_day: bool) -> Duration {
    let kept = if is_kept_a_day { DAY } else { 7 * DAY };
    match dice.between(0, 3) {
        0 => dice.span(3 * HOUR, 6 * DAY),
        1 | 2 => dice.span(kept - 14 * HOUR, kept),
        _ => dice.span(kept, kept + 2 * DAY),
    }
}

/// Small pages, a short life, and answers that leave a cursor where it is.
fn stand_still(dice: &Dice, streams: &[&'static str], life: &mut LifePlan) {
    life.lasts = MINUTE;
    life.tuning = json!({});
    for stream in streams {
        let faults = match *stream {
            "siem" => vec![sim::Fault::SiemTokenHeaderMissing],
            "siem/events" => vec![sim::Fault::NextPageMissing],
            _ => vec![sim::Fault::NextPageMissing, sim::Fault::Status { at: sim::Endpoint::Storage, status: 503 }],
        };
        let (skip, count) = (dice.between(0, 3), dice.between(1, 40));
        life.faults.push((dice.pick(&faults).clone(), sim::When::After { skip, count }));
        if *stream != "siem" {
            life.tuning["page_sizes"][*stream] = dice.between(2, 20).into();
        }
    }
}

/// One that refuses what it has, one that does not; others now and then.
fn sinks(dice: &Dice) -> Vec<Manner> {
    let trouble = |dice: &Dice, manner: Manner| Manner {
        slow_ms: if dice.chance(300) { *dice.pick(&[20, 2_500, 30_000]) } else { 0 },
        fails: if dice.chance(300) { dice.between(50, 500) } else { 0 },
        partly: if dice.chance(300) { dice.between(50, 400) } else { 0 },
        unanswered: if dice.chance(300) { dice.between(50, 300) } else { 0 },
        refuses: if dice.chance(250) { dice.between(5, 100) } else { 0 },
        ..manner
    };
    let mut sinks = vec![trouble(dice, Manner::good("idempotent"))];
    sinks.push(trouble(dice, Manner { idempotent: false, ..Manner::good("plain") }));
    if dice.chance(200) {
        let loose = Manner { acknowledgements: false, idempotent: false, ..Manner::good("loose") };
        sinks.push(trouble(dice, loose));
    }
    sinks
}

/// In turns, so that each point comes up as often as every other.
fn point(turn: u64) -> &'static str {
    POINTS[(turn % POINTS.len() as u64) as usize]
}

fn life(dice: &Dice, turn: u64, streams: &[&'static str], sinks: &[Manner]) -> LifePlan {
    let point = point(turn);
    let orderly = dice.chance(150);
    let passed = match point {
        // Passed seldom.
        point if ["open-store", "letters", "position"].iter().any(|rare| point.starts_with(rare)) => dice.between(0, 1),
        _ if dice.chance(600) => dice.between(0, 3),
        _ => dice.between(0, 20),
    };
    let mut sinks = sinks.to_vec();
    if dice.chance(150) {
        sinks.push(Manner::good("guest"));
    }
    let left_out: Vec<&'static str> =
        if streams.len() > 1 && dice.chance(150) { vec![*dice.pick(streams)] } else { Vec::new() };
    let collected: Vec<&str> = streams.iter().filter(|stream| !left_out.contains(stream)).copied().collect();
    let minutes = |dice: &Dice, least, most| MINUTE * dice.between(least, most) as u32;
    let full_from = minutes(dice, 0, 30);
    let wrong = |dice: &Dice| {
        let wrong = dice.between(1_000, *dice.pick(&[10_000, 120_000, 800_000])) as i64;
        if dice.chance(500) { wrong } else { -wrong }
    };
    LifePlan {
        end: match point {
            // Passed only by a process that ends in good order.
            "stop.close" => Some((point, 0)),
            "moment" => None,
            point => (!orderly).then_some((point, passed)),
        },
        lasts: minutes(dice, 5, 90),
        down: if dice.chance(700) { Duration::from_secs(dice.between(1, 60)) } else { minutes(dice, 1, 120) },
        left_out,
        tuning: tuning(dice, &collected),
        sinks,
        faults: if dice.chance(700) { faults::choose(dice, &collected) } else { Vec::new() },
        disk: DiskFaults {
            full: dice.chance(100).then(|| (full_from, full_from + minutes(dice, 1, 20))),
            failing_syncs: if dice.chance(200) { dice.between(20, 300) } else { 0 },
        },
        failing_letters: if dice.chance(200) { dice.between(50, 500) } else { 0 },
        cuts: if dice.chance(400) { dice.between(10, 150) } else { 0 },
        breakdowns: if dice.chance(150) { dice.between(20, 200) } else { 0 },
        skew_ms: if dice.chance(100) { wrong(dice) } else { 0 },
        jump_ms: if dice.chance(100) { wrong(dice) } else { 0 },
        jump_from: minutes(dice, 0, 60),
        in_flight_bytes: if dice.chance(200) { 64 << 10 } else { 8 << 20 },
    }
}

fn tuning(dice: &Dice, streams: &[&str]) -> Value {
    let mut tuning = json!({});
    if dice.chance(400) {
        let stream = *dice.pick(streams);
        if stream != "siem" && !stream.starts_with("threat") {
            tuning["page_sizes"] = json!({ stream: dice.between(5, 90) });
        }
    }
    if dice.chance(300) {
        tuning["intervals"] = json!({ *dice.pick(streams): format!("{}m", dice.between(1, 20)) });
    }
    tuning
}
