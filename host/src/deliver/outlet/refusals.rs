//! How many events a sink refuses for good before that is taken for a mistake of configuration.

/// Fewer events say nothing about a share, so small deliveries are counted together up to this.
const WINDOW: u64 = 100;

/// See the module.
pub struct Refusals {
    /// More than 0; 1 and above never hold.
    max_share: f64,
    answered: u64,
    refused: u64,
}

impl Refusals {
    pub fn new(max_share: f64) -> Self {
        Self { max_share, answered: 0, refused: 0 }
    }

    /// Whether `refused` of the `events` of one delivery are to be held rather than given up. Then they come again, and are
    /// [counted](Self::count) when they no longer are; what nobody can hold is counted at once.
    pub fn are_too_many(&self, events: usize, refused: usize) -> bool {
        let (answered, all) = (self.answered + events as u64, self.refused + refused as u64);
        self.max_share < 1.0 && refused > 0 && all as f64 > self.max_share * answered.max(WINDOW) as f64
    }

    /// Counts a delivery that has come to its end.
    pub fn count(&mut self, events: usize, refused: usize) {
        let (answered, all) = (self.answered + events as u64, self.refused + refused as u64);
        (self.answered, self.refused) = if answered >= WINDOW { (0, 0) } else { (answered, all) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(refusals: &mut Refusals, events: usize, refused: usize) -> bool {
        let hold = refusals.are_too_many(events, refused);
        if !hold {
            refusals.count(events, refused);
        }
        hold
    }

    #[test]
    fn more_than_the_share_of_a_delivery_is_held() {
        assert!(!Refusals::new(0.05).are_too_many(1000, 50));
        assert!(Refusals::new(0.05).are_too_many(1000, 51));
        assert!(!Refusals::new(1.0).are_too_many(1000, 1000), "unless the operator wants it otherwise");
    }

    #[test]
    fn small_deliveries_are_counted_together() {
        let mut refusals = Refusals::new(0.05);
        assert!(!hold(&mut refusals, 1, 1), "one bad event stops nothing");
        assert!((0..4).all(|_| !hold(&mut refusals, 2, 1)));
        assert!(hold(&mut refusals, 1, 1), "but all of a few do");
        assert!(hold(&mut refusals, 1, 1), "again and again");
        assert!(!hold(&mut refusals, 1, 0), "until it is mended");
        let mut refusals = Refusals::new(0.05);
        assert!((0..1000).all(|_| !hold(&mut refusals, 30, 1)), "one in thirty is less");
    }

    #[test]
    fn what_does_not_come_again_is_counted_though_it_is_too_much() {
        let mut refusals = Refusals::new(0.05);
        let mut too_many = |events, refused| {
            let too_many = refusals.are_too_many(events, refused);
            refusals.count(events, refused);
            too_many
        };
        assert!(!too_many(1_000, 50) && too_many(1_000, 51), "each by itself, if it is large");
        assert!((0..100).all(|_| !too_many(250, 4)), "the parts of a large one too");
        assert!(!too_many(10, 3) && !too_many(10, 2) && too_many(10, 1), "or with those before");
        assert!(!too_many(10, 0), "none is not too many");
    }
}
