//! Far sides that speak the protocols of brokers, as far as publishing goes, and say yes to everything.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;

use self::records::{Reader, Writer};

#[path = "../../tests/sinks/brokers/records.rs"]
mod records;

/// As much as a socket gives at once.
const BUFFER: usize = 1 << 20;

/// A NATS server whose stream takes every subject.
pub fn nats(mut connection: TcpStream) -> Result<()> {
    let info = r#"{"server_id":"F","server_name":"f","version":"2.12.0","proto":1,"go":"","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"jetstream":true}"#;
    connection.write_all(format!("INFO {info}\r\n").as_bytes())?;
    let mut reader = BufReader::with_capacity(BUFFER, connection.try_clone()?);
    let (mut line, mut message, mut inboxes, mut said) = (String::new(), Vec::new(), String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["PING"] => said.extend_from_slice(b"PONG\r\n"),
            ["SUB", _, number] => inboxes = number.to_owned(),
            ["PUB", _, reply, length] | ["HPUB", _, reply, _, length] => {
                message.resize(length.parse::<usize>().unwrap_or_default() + 2, 0);
                reader.read_exact(&mut message)?;
                let answer = r#"{"stream":"S","seq":1}"#;
                write!(said, "MSG {reply} {inboxes} {}\r\n{answer}\r\n", answer.len())?;
            }
            _ => {}
        }
        if reader.buffer().is_empty() {
            connection.write_all(&said)?;
            said.clear();
        }
    }
}

/// A Kafka broker that leads the one partition of the topic `tributary`.
pub fn kafka(connection: TcpStream) -> Result<()> {
    const TOPIC: &str = "tributary";
    let port = connection.local_addr()?.port();
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER, connection);
    let mut request = Vec::new();
    loop {
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        request.resize(u32::from_be_bytes(length) as usize, 0);
        reader.read_exact(&mut request)?;
        let mut request = Reader(&request);
        let (kind, version, number) = (request.i16(), request.i16(), request.i32());
        let answer = Writer::default().i32(number);
        let answer = match kind {
            // Produce, to a topic's partition.
            0 => {
                let answer = answer.i32(1).text(TOPIC).i32(1).i32(0).i16(0).i64(0).i64(-1).i64(0);
                answer.i32(0).none().i32(0)
            }
            // Metadata.
            3 => {
                let alone = |answer: Writer, number| answer.i32(number);
                let broker = |answer: Writer, number| answer.i32(number).text("127.0.0.1").i32(port.into()).none();
                let partition = |answer: Writer, index| answer.i16(0).i32(index).i32(1).all([1], alone).all([1], alone);
                let answer = answer.i32(0).all([1], broker).none().i32(1);
                answer.all([TOPIC], |answer, topic| answer.i16(0).text(topic).flag(false).all([0], partition))
            }
            // ApiVersions; 35 says that this form of the question is too new.
            18 => {
                let spoken = [(0, 8, 8), (1, 4, 4), (3, 4, 4), (18, 0, 0), (22, 0, 1)];
                let answer = answer.i16(if version > 0 { 35 } else { 0 });
                answer.all(spoken, |answer, (kind, from, to)| answer.i16(kind).i16(from).i16(to))
            }
            // InitProducerId.
            _ => answer.i32(0).i16(0).i64(1).i16(0),
        };
        let length = answer.0.len() as u32;
        writer.write_all(&[&length.to_be_bytes()[..], &answer.0].concat())?;
    }
}
