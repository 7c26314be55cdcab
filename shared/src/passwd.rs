//! The user's home folder, from the text of the password database (passwd(5)).
//!
//! Never from `HOME` or another variable: a node merges a stranger's variables
//! into the process, and whoever chooses the home folder chooses whom to trust.
//! Accounts that are not in the local database (LDAP) have no home here; they
//! name their files with `--key` and `--trust`. Does not read the file itself.

use std::path::PathBuf;

/// Where the local password database is.
pub const DATABASE: &str = "/etc/passwd";
/// The folder for our files inside a user's home.
pub const USER_FOLDER: &str = ".config/bls";
/// The folder for what can be made again inside a user's home.
pub const CACHE_FOLDER: &str = ".cache/bls";
/// The folder for installed artifacts inside a user's home.
pub const DATA_FOLDER: &str = ".local/share/bls";

/// The home folder of `user_id` in `database`; `None` when there is no such
/// user, or its home is not an absolute path.
#[must_use]
pub fn home(database: &str, user_id: u32) -> Option<PathBuf> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        let id = fields.nth(2)?;
        if id.parse() != Ok(user_id) {
            return None;
        }
        let home = PathBuf::from(fields.nth(2)?);
        home.is_absolute().then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_home_of_the_user() {
        let database = "root:x:0:0:root:/root:/bin/sh\n# comment\nbad:line\n\
                        ann:x:1000:1000:Ann:/home/ann:/bin/sh\nnone:x:5:5:::\n";
        assert_eq!(home(database, 0), Some("/root".into()));
        assert_eq!(home(database, 1000), Some("/home/ann".into()));
        assert_eq!(home(database, 5), None);
        assert_eq!(home(database, 7), None);
    }
}
