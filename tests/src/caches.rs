//! A cache that builders share, on this machine, for the time of a test: nginx, which keeps what is
//! PUT (Debian's `nginx-light` has that module).

use crate::ports;
use crate::registries::listens;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The real program.
const PROGRAM: &str = "nginx";

/// A real server.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// One that takes what is PUT below `/bls`; `None`, and a line that says so, where the program
    /// is not installed.
    ///
    /// # Panics
    /// When it does not listen.
    #[must_use]
    pub fn start() -> Option<Self> {
        if Command::new(PROGRAM).arg("-v").output().is_err() {
            println!("{PROGRAM} is not installed: left out");
            return None;
        }
        // Somebody may take the port in between: then another is tried.
        let started = (0..10).find_map(|_| Self::try_start());
        assert!(started.is_some(), "{PROGRAM} does not listen");
        started
    }

    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let host = ports::free().to_string();
        let path = folder.path().display();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {path}/body;\n\
             proxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/fastcgi;\n\
             uwsgi_temp_path {path}/uwsgi;\nscgi_temp_path {path}/scgi;\n\
             server {{\nlisten {host};\nroot {path}/kept;\nclient_max_body_size 0;\n\
             location /bls/ {{ dav_methods PUT; create_full_put_path on; }}\n}}\n}}\n"
        );
        fs::create_dir_all(folder.path().join("kept/bls")).expect("a folder");
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).expect("a file");
        let process = Command::new(PROGRAM)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut server = Self { process, host, folder };
        listens(&mut server.process, &server.host).then_some(server)
    }

    /// What `--cache` is given.
    #[must_use]
    pub fn place(&self) -> String {
        format!("http://{}/bls", self.host)
    }

    /// The folder of what it keeps.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("kept/bls")
    }

    /// The files of what it keeps, in the order of their names.
    ///
    /// # Panics
    /// When they cannot be listed.
    #[must_use]
    pub fn entries(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.kept()).expect("a folder");
        let mut entries: Vec<PathBuf> =
            folder.map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        entries
    }

    /// Ends it; what it kept stays for as long as this.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}
