//! The command as one user beside the state of another: it makes nothing that shuts the other out, and says whom to be.
//! Only the superuser can try that.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use tributary_host::state::Store;
use tributary_tests::process::{Output, command, output};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary-under-test");
const ROOT: u32 = 0;
const NOBODY: u32 = 65_534;

/// A configuration that everybody may read, a store of `owner`'s in which nothing is, and an export of it.
struct Site {
    folder: tempfile::TempDir,
    owner: u32,
}

impl Site {
    /// `None` if this process cannot be two users.
    fn new(owner: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if fs::metadata(folder.path()).unwrap().uid() != ROOT {
            eprintln!("skipped: it needs the superuser");
            return None;
        }
        let site = Self { folder, owner };
        let at = site.folder.path().display();
        let text = format!(
            "data_dir = \"{at}/state\"\n[sources.acme]\ntype = \"mimecast\"\nclient_id = \"i\"\nclient_secret = \"s\"\n\
             base_url = \"http://127.0.0.1:9\"\ninsecure_http = true\n\
             [sinks.lake]\ntype = \"file\"\ninputs = [\"*\"]\npath = \"{at}/out\"\n"
        );
        fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(site.path("tributary.toml"), text).unwrap();
        let store = Store::open(&site.path("state")).unwrap();
        store.export(&mut fs::File::create(site.path("export")).unwrap()).unwrap();
        drop(store);
        fs::create_dir(site.path("out")).unwrap();
        for path in ["state", "state/state.redb", "state/lock", "out"] {
            chown(site.path(path), Some(owner), Some(owner)).unwrap();
        }
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn call(&self, user: u32, line: &str) -> Output {
        let line = line.replace("EXPORT", self.path("export").to_str().unwrap());
        let file = self.path("tributary.toml").display().to_string();
        let arguments: Vec<&str> = ["--config", &file].into_iter().chain(line.split(' ')).collect();
        output(command(BINARY, &arguments).uid(user).gid(user).current_dir("/"))
    }

    /// All that lies in the state and in the sink is its owner's still.
    fn is_its_owners(&self) {
        let mut folders = vec![self.path("state"), self.path("out")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let metadata = fs::metadata(&path).unwrap();
                assert_eq!(metadata.uid(), self.owner, "{}", path.display());
                if metadata.is_dir() {
                    folders.push(path);
                }
            }
        }
    }
}

/// Each with the exit code that its owner is given.
const LOOKING: [(&str, i32); 7] = [
    ("audit", 0),
    ("state show", 0),
    ("state check", 0),
    ("state export", 0),
    ("dead-letters list", 0),
    ("dead-letters list --json", 0),
    ("dead-letters show 0123", 64),
];
const CHANGING: [(&str, i32); 6] = [
    ("dead-letters replay --all", 0),
    ("dead-letters drop --all", 64),
    ("state import EXPORT", 0),
    ("state reset acme", 64),
    ("state move acme hooli", 64),
    // Nothing was interrupted.
    ("replay --source acme --stream audit --resume", 64),
];
const ASKING: [(&str, i32); 3] = [("status", 69), ("tap", 69), ("restart acme", 69)];

#[test]
fn a_state_that_may_not_be_seen_is_not_called_absent() {
    let Some(site) = Site::new(ROOT) else { return };
    for (line, code) in LOOKING.into_iter().chain(CHANGING).chain(ASKING) {
        let said =
            site.call(NOBODY, line).expect(77, &["Permission denied", "belongs to root", "`sudo -u root tributary …`"]);
        assert!(!said.stderr.contains("there is no") && !said.stderr.contains("Give the folder"), "{line}: {said:?}");
        site.call(ROOT, line).expect(code, &[]);
    }
    // Where the folder is open, and what lies there is not.
    fs::set_permissions(site.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    for line in ["status", "audit", "state check"] {
        site.call(NOBODY, line).expect(77, &["Permission denied", "belongs to root", "`sudo -u root tributary …`"]);
    }
}

#[test]
fn nobody_makes_what_the_services_user_could_not_use() {
    let Some(site) = Site::new(NOBODY) else { return };
    for (line, code) in CHANGING {
        site.call(ROOT, line).expect(77, &["belongs to nobody", "`sudo -u nobody tributary …`"]);
        site.is_its_owners();
        site.call(NOBODY, line).expect(code, &[]);
    }
    // Looking is no change, even where the lock has gone.
    for (line, code) in LOOKING.into_iter().chain(ASKING) {
        fs::remove_file(site.path("state/lock")).unwrap();
        site.call(ROOT, line).expect(code, &[]);
        site.is_its_owners();
        site.call(NOBODY, "audit").expect(0, &[]);
    }
}

#[test]
fn what_another_user_made_below_a_folder_is_named() {
    let Some(site) = Site::new(NOBODY) else { return };
    let folder = |name: &str, mode| {
        fs::create_dir_all(site.path(name)).unwrap();
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let own = |name: &str| chown(site.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    let wrong = |sink: &str, state: Option<&str>| {
        let place = |name: &str| site.path(name).display().to_string() + ": Permission denied";
        let said = site.call(NOBODY, "validate").expect(78, &["x sinks.lake.path is writable", &place(sink)]);
        let state = state.map(|name| format!("x data_dir is writable\n  data_dir: cannot write to {}", place(name)));
        assert!(said.stdout.contains(state.as_deref().unwrap_or("√ data_dir is writable")), "{said:?}");
        assert!(said.stdout.contains("belongs to root (user 0)"), "{said:?}");
    };
    folder("out/acme", 0o700);
    folder("out/acme/audit", 0o700);
    folder("state/dead-letters", 0o700);
    wrong("out/acme", Some("state/dead-letters"));
    let at = site.path("out/acme").display().to_string();
    let next = "Let the user that runs tributary write there";
    site.call(NOBODY, "run").expect(73, &[&format!("cannot write to {at}: "), "belongs to root (user 0)", next]);

    // What an earlier run left open.
    ["out/acme", "out/acme/audit", "state/dead-letters"].into_iter().for_each(own);
    fs::write(site.path("out/acme/audit/2.ndjson.part"), "{}\n").unwrap();
    wrong("out/acme/audit/2.ndjson.part", None);
    own("out/acme/audit/2.ndjson.part");
    // It can be read, so that a start succeeds; the next file fails.
    chown(site.path("out/acme/audit"), Some(ROOT), Some(ROOT)).unwrap();
    folder("out/acme/audit", 0o755);
    wrong("out/acme/audit", None);
    own("out/acme/audit");
    // Somebody else's folder beside is in nobody's way.
    folder("out/apt", 0o755);
    fs::write(site.path("out/apt/history.log"), "").unwrap();
    site.call(NOBODY, "validate").expect(0, &["√ sinks.lake.path is writable", "√ data_dir is writable"]);
}
