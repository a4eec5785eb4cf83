//! Another process of the same user does not get at the host's memory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tributary_tests::process::{command, until};

use crate::BINARY;

/// A user without any rights. Root may look into every process, so a test that runs as root starts both as this one.
const NOBODY: u32 = 65_534;

struct Host {
    child: Child,
    /// Of the user that runs it.
    user: u32,
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes `command` run as another user than root.
fn as_user(command: &mut Command, root: bool) -> &mut Command {
    if root { command.uid(NOBODY).gid(NOBODY) } else { command }
}

impl Host {
    /// A host at work, which cannot reach its vendor.
    fn start(folder: &Path, root: bool, arguments: &[&str]) -> Self {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let file = folder.join("t.toml");
        let text = format!(
            "data_dir = '{0}/state'\n[sources.a]\ntype = 'mimecast'\nclient_id = 'id'\nclient_secret = '${{MARKED}}'\n\
             base_url = 'http://127.0.0.1:9'\ninsecure_http = true\n[sinks.s]\ntype = 'stdout'\ninputs = ['*']\n",
            folder.display()
        );
        fs::write(&file, text).unwrap();
        let binary = reachable(folder, root);
        let all: Vec<&str> = ["--config", file.to_str().unwrap()].iter().chain(arguments).copied().collect();
        let mut command = command(binary.to_str().unwrap(), &[&all[..], &["run"]].concat());
        as_user(&mut command, root).env("MARKED", "m4rked-in-the-environment").current_dir("/");
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let host = Self { child, user: if root { NOBODY } else { fs::metadata(folder).unwrap().uid() } };
        let runs = || fs::read_to_string(folder.join("log")).unwrap().contains("tributary runs");
        assert!(until(Duration::from_secs(120), runs), "{}", fs::read_to_string(folder.join("log")).unwrap());
        host
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    /// Whether a process of the same user can read one of its files there.
    fn is_read(&self, name: &str, root: bool) -> bool {
        let mut head = Command::new("head");
        head.args(["-c", "1"]).arg(self.proc(name)).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        as_user(&mut head, root).status().unwrap().success()
    }

    fn core_limit(&self) -> Vec<String> {
        let limits = fs::read_to_string(self.proc("limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap().to_owned();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    }
}

/// The binary where another user can run it.
fn reachable(folder: &Path, root: bool) -> PathBuf {
    let runs = |path: &Path| {
        let mut command = Command::new(path);
        command.arg("-V").stdout(Stdio::null()).current_dir("/");
        as_user(&mut command, root).status().is_ok_and(|status| status.success())
    };
    if runs(Path::new(BINARY)) {
        return BINARY.into();
    }
    let copy = folder.join("tributary");
    fs::copy(BINARY, &copy).unwrap();
    copy
}

#[test]
fn no_core_file_and_no_debugger() {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), root, &[]);
    assert_eq!(host.core_limit(), ["0", "0"]);
    // The kernel gives the files of a process that is not dumpable to root, and judges them as it judges ptrace.
    assert_eq!(fs::metadata(host.proc("mem")).unwrap().uid(), 0);
    for name in ["environ", "maps", "auxv", "mem"] {
        assert!(!host.is_read(name, root), "{name} can be read");
    }
    if root {
        // Kernels that tell written pages do so for instances too: it is opened before the door is closed.
        let files = fs::read_dir(host.proc("fd")).unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        let kept = files.filter(|file| file.ends_with("pagemap")).count();
        let told = tributary_host::sandbox::tells_written_pages();
        assert_eq!(kept > 0, told, "open: {kept}, known to the kernel: {told}");
    }
}

/// The lawful neighbour: what the test above calls refused is there to be had.
#[test]
fn a_debugger_is_let_in_if_the_operator_says_so() {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), root, &["--allow-debugging"]);
    assert_eq!(fs::metadata(host.proc("mem")).unwrap().uid(), host.user);
    for name in ["environ", "maps", "auxv"] {
        assert!(host.is_read(name, root), "{name} cannot be read");
    }
}
