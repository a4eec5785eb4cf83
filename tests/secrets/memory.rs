//! What the configuration fills in is gone from memory when nobody holds it any more.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tributary_host::config;

/// In this test's own memory the secrets never stand as they are.
const MASK: u8 = 0xa5;

fn mask(text: impl Iterator<Item = u8>) -> Vec<u8> {
    text.map(|byte| byte ^ MASK).collect()
}

/// A secret of 96 letters, masked.
fn masked(seed: u32) -> Vec<u8> {
    let mut state = seed;
    mask(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + ((state >> 16) % 26) as u8
        })
        .take(96),
    )
}

/// Writes `before`, the secret, `after`, without a copy of the secret.
fn write(path: &Path, mode: u32, before: &str, secret: &[u8], after: &str) {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).unwrap();
    file.write_all(before.as_bytes()).unwrap();
    for byte in secret {
        file.write_all(&[byte ^ MASK]).unwrap();
    }
    file.write_all(after.as_bytes()).unwrap();
}

/// How often the end of each secret stands in this process's writable memory. An allocator writes over the beginning of
/// what it gets back.
fn found<const N: usize>(secrets: [&[u8]; N]) -> [usize; N] {
    // The buffer of another test that looks at the same time holds a copy, too.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let tails = secrets.map(|secret| &secret[secret.len() - 48..]);
    let mut first = [false; 256];
    tails.iter().for_each(|tail| first[usize::from(tail[0] ^ MASK)] = true);
    let (maps, memory) = (fs::read_to_string("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
    let (mut counts, mut bytes) = ([0; N], vec![0; 1 << 20]);
    // What the buffer itself holds is a copy.
    let own = bytes.as_ptr().addr() as u64..bytes.as_ptr().addr() as u64 + bytes.len() as u64;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [mut at, end] = [begin, end].map(|number| u64::from_str_radix(number, 16).unwrap());
        while at < end {
            let length = (end - at).min(bytes.len() as u64) as usize;
            // A mapping may have gone since it was listed.
            let read = memory.read_at(&mut bytes[..length], at).unwrap_or(0);
            for begin in (0..read.saturating_sub(47)).filter(|begin| first[usize::from(bytes[*begin])]) {
                let window = &bytes[begin..begin + 48];
                let is = |tail: &[u8]| window.iter().zip(tail).all(|(byte, masked)| byte ^ MASK == *masked);
                if let Some(secret) = tails.iter().position(|tail| is(tail))
                    && !own.contains(&(at + begin as u64))
                {
                    counts[secret] += 1;
                }
            }
            bytes.fill(0);
            at += if length < bytes.len() { length } else { length - 47 } as u64;
        }
    }
    counts
}

/// The base64 of a secret, both masked. Nothing longer than three letters stands here as it is.
fn base64(secret: &[u8]) -> Vec<u8> {
    let encoded = secret.chunks(3).flat_map(|three| {
        let plain: Vec<u8> = three.iter().map(|byte| byte ^ MASK).collect();
        STANDARD.encode(plain).into_bytes()
    });
    mask(encoded)
}

/// What makes a key has copies of it.
#[test]
#[ignore = "runs in a process of its own, for the test of keys"]
fn a_key_is_made() {
    let folder = std::env::var_os(KEY_FOLDER).expect("another test says where");
    tributary_tests::certificates::certificates(Path::new(&folder));
}

const KEY_FOLDER: &str = "TRIBUTARY_KEY_FOLDER";

/// Makes a certificate and its key in `folder`. Gives the key as it is used, up to where its public half begins, and the
/// first line of its file, both masked.
fn key(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "memory::a_key_is_made", "--ignored"]).env(KEY_FOLDER, folder);
    assert!(child.output().unwrap().status.success());
    let file = File::open(folder.join("server.key")).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    let mut letter = [0];
    let mut at = 0..;
    let read = std::iter::from_fn(|| {
        let read = file.read_at(&mut letter, at.next().unwrap()).unwrap();
        (read > 0).then_some(letter[0])
    });
    let text = mask(read);
    let lines: Vec<&[u8]> = text.split(|byte| byte ^ MASK == b'\n').collect();
    let of_body = |line: &&&[u8]| line.first().is_some_and(|byte| byte ^ MASK != b'-');
    let letters = lines.iter().filter(of_body).copied().collect::<Vec<_>>().concat();
    let plain = letters.chunks(4).flat_map(|four| {
        let four: Vec<u8> = four.iter().map(|byte| byte ^ MASK).collect();
        STANDARD.decode(four).unwrap()
    });
    // PKCS #8 of P-256: 36 bytes before the 32 that are secret.
    (mask(plain.take(68)), lines[1].to_vec())
}

#[test]
fn a_proxys_password_and_a_private_key_are_wiped_with_the_settings_that_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [top, own] = [5, 6].map(masked);
    write(&at("top"), 0o600, "", &top, "\n");
    write(&at("own"), 0o600, "", &own, "\n");
    let [top_sent, own_sent] = [&top, &own].map(|secret| base64(secret));
    let (key, text) = key(folder.path());
    let path = folder.path().display();
    // Of three letters with the colon, so that the password's base64 stands by itself.
    let text_of = |more: &str| {
        format!(
            "data_dir = '{path}/state'\nproxy.https = 'http://us:SECRET[d.top]@one.example:1'\n\
             proxy.http = 'http://us:SECRET[d.top]@one.example:1'\n[sources.a]\ntype = 'mimecast'\n\
             proxy.https = 'http://us:SECRET[d.own]@two.example:1'\n\
             tls = {{ crt_file = '{path}/server.pem', key_file = '{path}/server.key' }}\n\
             [sources.b]\ntype = 'mimecast'\n{more}\n\
             [sinks.s]\ntype = 'stdout'\ninputs = ['*']\n[secret]\nd = {{ type = 'directory', path = '{path}' }}\n"
        )
    };
    fs::write(at("good.toml"), text_of("")).unwrap();
    fs::write(at("bad.toml"), text_of("proxy = { https = 'https://us:SECRET[d.top]@h:1', more = 'SECRET[d.own]' }"))
        .unwrap();
    let all: [&[u8]; 6] = [&top, &own, &key, &top_sent, &own_sent, &text];
    let loaded = config::load(&at("good.toml")).unwrap();
    // At the top, for both schemes, and the first source's own; what is sent is the base64 of it.
    let [top_plain, own_plain, keys, top_sent, own_sent, texts] = found(all);
    assert_eq!((top_plain, own_plain, texts), (0, 0, 0), "of the text and the file nothing is left");
    assert_eq!((keys, own_sent), (1, 1), "they are held while they are used");
    assert!((2..=4).contains(&top_sent), "{top_sent}");
    drop(loaded);
    assert_eq!(found(all), [0; 6]);
    // Nor is anything left of one that is refused, once nobody looks at what can be read of it.
    let refused = config::load(&at("bad.toml")).unwrap_err();
    assert_eq!(refused.problems.len(), 2, "{refused}");
    drop(refused);
    assert_eq!(found(all), [0; 6]);
}

#[test]
fn what_was_filled_in_is_wiped_after_its_last_use() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [directory, file, exec, unused] = [1, 2, 3, 4].map(masked);
    write(&at("one"), 0o600, "", &directory, "\n");
    write(&at("all.json"), 0o600, "{\"two\":\"", &file, "\"}");
    write(&at("answer"), 0o600, "{\"three\":{\"value\":\"", &exec, "\",\"error\":null},");
    let mut answer = fs::OpenOptions::new().append(true).open(at("answer")).unwrap();
    answer.write_all(b"\"more\":{\"value\":\"").unwrap();
    unused.iter().for_each(|byte| answer.write_all(&[byte ^ MASK]).unwrap());
    answer.write_all(b"\"}}").unwrap();
    let path = folder.path().display();
    fs::write(
        at("t.toml"),
        format!(
            "data_dir = '{path}/state'\n[sources.a]\ntype = 'mimecast'\none = 'SECRET[d.one]'\n\
             list = ['-SECRET[f.two]-', 'x']\nthree = 'SECRET[e.three]'\n[sinks.s]\ntype = 'stdout'\ninputs = ['*']\n\
             [secret]\nd = {{ type = 'directory', path = '{path}' }}\nf = {{ type = 'file', path = '{path}/all.json' }}\n\
             e = {{ type = 'exec', command = ['/bin/cat', '{path}/answer'] }}\n"
        ),
    )
    .unwrap();
    let loaded = config::load(&at("t.toml")).unwrap();
    assert!(!loaded.config.sources["a"].named_streams().contains("x"));
    let secrets: [&[u8]; 4] = [&directory, &file, &exec, &unused];
    assert_eq!(found(secrets), [1, 1, 1, 0], "in the settings alone, while they are used");
    for secret in &secrets[..3] {
        let filled = loaded.config.sources["a"].settings.as_json().bytes();
        assert!(mask(filled).windows(secret.len()).any(|window| window == *secret));
    }
    drop(loaded);
    assert_eq!(found(secrets), [0; 4]);
}
