//! The parts that Kafka's messages are made of: <https://kafka.apache.org/protocol> and
//! <https://kafka.apache.org/documentation/#recordbatch>. What cannot be read panics: a client of ours wrote it.

/// Reads a message from its beginning.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// A number of so many bytes, at most eight.
    fn number(&mut self, length: usize) -> i64 {
        let first = i64::from(self.bytes(1)[0] as i8);
        self.bytes(length - 1).iter().fold(first, |number, byte| number << 8 | i64::from(*byte))
    }

    pub fn i16(&mut self) -> i16 {
        self.number(2) as i16
    }

    pub fn i32(&mut self) -> i32 {
        self.number(4) as i32
    }

    pub fn i64(&mut self) -> i64 {
        self.number(8)
    }

    /// None, if its length is negative.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.i16()).ok()?;
        Some(std::str::from_utf8(self.bytes(length)).unwrap())
    }

    /// A number of varying length, zigzag.
    fn varint(&mut self) -> i64 {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let byte = self.bytes(1)[0];
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return (number >> 1) as i64 ^ -((number & 1) as i64);
            }
        }
    }

    fn field(&mut self) -> &'a [u8] {
        let length = self.varint().max(0) as usize;
        self.bytes(length)
    }
}

/// A record batch of magic 2, not compressed.
pub struct RecordBatch<'a> {
    /// Which producer it is of, in which epoch.
    pub producer: (i64, i16),
    /// The number of its first record.
    pub sequence: i32,
    pub records: Vec<Record<'a>>,
}

pub struct Record<'a> {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> RecordBatch<'a> {
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut reader = Reader(bytes);
        // Its offset, its length, the leader's epoch.
        reader.bytes(8 + 4 + 4);
        assert_eq!(reader.bytes(1), [2], "magic");
        let _checksum = reader.i32();
        assert_eq!(reader.i16(), 0, "attributes");
        let _last = reader.i32();
        let (begin, _end) = (reader.i64(), reader.i64());
        let producer = (reader.i64(), reader.i16());
        let sequence = reader.i32();
        let records = (0..reader.i32()).map(|_| {
            let mut record = Reader(reader.field());
            record.bytes(1);
            let time = begin + record.varint();
            record.varint();
            let (key, value) = (record.field(), record.field());
            let headers = (0..record.varint()).map(|_| (record.field(), record.field())).collect();
            Record { time, key, value, headers }
        });
        Self { producer, sequence, records: records.collect() }
    }
}

/// Writes a message.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn i16(mut self, number: i16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn i32(mut self, number: i32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn i64(mut self, number: i64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn flag(mut self, flag: bool) -> Self {
        self.0.push(flag.into());
        self
    }

    pub fn text(self, text: &str) -> Self {
        let mut writer = self.i16(text.len() as i16);
        writer.0.extend(text.as_bytes());
        writer
    }

    /// A text that is not there.
    pub fn none(self) -> Self {
        self.i16(-1)
    }

    /// How many there are, and each.
    pub fn all<T>(self, items: impl IntoIterator<Item = T>, write: impl Fn(Self, T) -> Self) -> Self {
        let items: Vec<T> = items.into_iter().collect();
        let writer = self.i32(items.len() as i32);
        items.into_iter().fold(writer, write)
    }
}
