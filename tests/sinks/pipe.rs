//! Standard output as a subject of the suite: the sink at one end of a pipe, and a program that reads lines at the other. Who
//! starts the host again makes another pipe, as a shell or a supervisor does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tributary_host::outside::Outside;
use tributary_host::sinks::{Sink, Stdout};

use crate::dialects::id_of;
use crate::feed::EVENTS;
use crate::local::outside;
use crate::subject::{Situation, Subject};

pub struct Pipe {
    situation: Situation,
    heard: Arc<Heard>,
    /// How often nobody was there to read.
    broken: Arc<AtomicU64>,
    mended: AtomicBool,
    /// Of the process that runs.
    alive: Mutex<Arc<AtomicBool>>,
}

#[derive(Default)]
struct Heard {
    stored: Mutex<BTreeMap<u128, u64>>,
    violations: Mutex<Vec<String>>,
}

impl Pipe {
    pub fn new(situation: Situation) -> Self {
        let (heard, broken, mended) = (Arc::default(), Arc::default(), AtomicBool::new(false));
        Self { situation, heard, broken, mended, alive: Mutex::default() }
    }
}

/// The writing end, in a process. A pipe holds more than all events are, so that its reader is slow shows here.
struct End {
    pipe: PipeWriter,
    pace: Duration,
    alive: Arc<AtomicBool>,
    broken: Arc<AtomicU64>,
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(self.pace);
        if !self.alive.load(Ordering::Relaxed) {
            return Err(io::Error::other("this process has ended"));
        }
        let written = self.pipe.write(&bytes[..bytes.len().min(512)]);
        self.broken.fetch_add(u64::from(written.is_err()), Ordering::Relaxed);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

impl Heard {
    fn read(&self, pipe: PipeReader) {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            match line.strip_suffix('\n') {
                Some(whole) if whole.starts_with("{\"id\"") && whole.ends_with('}') => {
                    *self.stored.lock().unwrap().entry(id_of(whole)).or_default() += 1;
                }
                Some(torn) => self.violations.lock().unwrap().push(torn.to_owned()),
                // The end of a process that was killed.
                None => {}
            }
            line.clear();
        }
    }
}

impl Subject for Pipe {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn refuses_known(&self, _: Situation) -> bool {
        false
    }

    fn may_double(&self, situation: Situation) -> bool {
        situation == Situation::Restart
    }

    /// A pipe has no answers, no credentials and no name. What its reader had not read when it left is lost with it; only
    /// one that leaves before the first line has a lawful end here.
    fn begin(&self, situation: Situation) -> bool {
        matches!(situation, Situation::AllGood | Situation::Slow | Situation::CutBefore | Situation::Restart)
    }

    fn lasts(&self, situation: Situation) -> bool {
        situation == Situation::CutBefore
    }

    fn mended_here(&self, situation: Situation) -> bool {
        situation == Situation::CutBefore
    }

    fn outside(&self) -> Outside {
        outside()
    }

    fn sink(&self) -> Box<dyn Sink> {
        let (reader, pipe) = io::pipe().unwrap();
        if self.situation != Situation::CutBefore || self.mended.load(Ordering::Relaxed) {
            let heard = Arc::clone(&self.heard);
            thread::spawn(move || heard.read(reader));
        }
        let alive = Arc::new(AtomicBool::new(true));
        std::mem::replace(&mut *self.alive.lock().unwrap(), Arc::clone(&alive)).store(false, Ordering::Relaxed);
        let slow = matches!(self.situation, Situation::Slow | Situation::Restart);
        let pace = Duration::from_millis(if slow { 10 } else { 0 });
        Box::new(Stdout::to(End { pipe, pace, alive, broken: Arc::clone(&self.broken) }))
    }

    fn happened(&self) -> bool {
        let heard = || self.heard.stored.lock().unwrap().len() as u64;
        match self.situation {
            Situation::CutBefore if !self.mended.load(Ordering::Relaxed) => self.broken.load(Ordering::Relaxed) >= 3,
            Situation::Restart => heard() >= 60,
            _ => true,
        }
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    /// Only who writes learns that nobody reads.
    fn hint(&self, _: Situation) -> Option<String> {
        None
    }

    fn stored(&self) -> BTreeMap<u128, u64> {
        self.heard.stored.lock().unwrap().clone()
    }

    /// What was written may be read a little later.
    fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.stored().len() < EVENTS as usize && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn violations(&self) -> Vec<String> {
        self.heard.violations.lock().unwrap().clone()
    }
}
