//! How many events a sink refuses for good before that is taken for a mistake of configuration.

/// Fewer events say nothing about a share, so small deliveries are counted together up to this.
const WINDOW: u64 = 100;

/// See the module.
pub struct Refusals {
    /// More than 0; 1 and above never hold.
    max_share: f64,
    answered: u64,
    refused: u64,
    holds: bool,
}

impl Refusals {
    pub fn new(max_share: f64) -> Self {
        Self { max_share, answered: 0, refused: 0, holds: false }
    }

    /// Whether `refused` of the `events` in one delivery that the sink has decided on are to be held rather than given up.
    /// Held, it stays so until all of a delivery are taken.
    pub fn hold(&mut self, events: usize, refused: usize) -> bool {
        if self.max_share >= 1.0 {
            return false;
        }
        if refused == 0 && events > 0 {
            self.holds = false;
        }
        let (answered, all) = (self.answered + events as u64, self.refused + refused as u64);
        let over = refused > 0 && all as f64 > self.max_share * answered.max(WINDOW) as f64;
        self.holds |= over;
        // What is held comes again, and is counted then.
        if !self.holds {
            (self.answered, self.refused) = if answered >= WINDOW { (0, 0) } else { (answered, all) };
        }
        self.holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_share_of_a_delivery_is_held() {
        assert!(!Refusals::new(0.05).hold(1000, 50));
        assert!(Refusals::new(0.05).hold(1000, 51));
        assert!(!Refusals::new(1.0).hold(1000, 1000), "unless the operator wants it otherwise");
    }

    #[test]
    fn small_deliveries_are_counted_together() {
        let mut refusals = Refusals::new(0.05);
        assert!(!refusals.hold(1, 1), "one bad event stops nothing");
        assert!((0..4).all(|_| !refusals.hold(2, 1)));
        assert!(refusals.hold(1, 1), "but all of a few do");
        assert!(refusals.hold(1, 1), "again and again");
        assert!(refusals.hold(0, 0), "nothing is decided");
        assert!(!refusals.hold(1, 0), "until it is mended");
        let mut refusals = Refusals::new(0.05);
        assert!((0..1000).all(|_| !refusals.hold(30, 1)), "one in thirty is less");
    }
}
