//! Users and groups of an image, by name or number.
//!
//! Names are looked up in the image's own /etc/passwd and /etc/group, numbers need no entry there. A user without a group has the
//! group of its entry, and those that list it as a member. Sources: runc's `user` package for USER, BuildKit's `ReadUser` for
//! `--chown`.

/// Who a process runs as, or whom files belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, the first one included.
    pub groups: Vec<u32>,
    /// Home folder, where the user has an entry.
    pub home: Option<String>,
}

/// A user or group that the image does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the image has no {what} `{name}`")]
pub struct UnknownUser {
    /// "user" or "group".
    pub what: &'static str,
    /// The name.
    pub name: String,
}

struct Entry<'t> {
    name: &'t str,
    fields: Vec<&'t str>,
}

fn entries(file: &[u8]) -> Vec<Entry<'_>> {
    let lines = file.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split(':').map(str::trim).collect();
            Entry { name: fields.first().copied().unwrap_or_default(), fields }
        })
        .collect()
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

/// `USER[:GROUP]` of USER: names and numbers, looked up in the image's files (empty ones where it has none).
pub fn process_identity(user: &str, passwd: &[u8], group: &[u8]) -> Result<Identity, UnknownUser> {
    let (user, wanted_group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let (users, groups) = (entries(passwd), entries(group));
    let id: Option<u32> = user.parse().ok();
    let entry = users.iter().find(|entry| {
        let same_name = entry.name == user;
        let same_id = id.is_some() && number(&entry.fields, 2) == id;
        if user.is_empty() { number(&entry.fields, 2) == Some(0) } else { same_name || same_id }
    });
    let (uid, gid) = match (entry, id) {
        (Some(entry), _) => (number(&entry.fields, 2).unwrap_or(0), number(&entry.fields, 3).unwrap_or(0)),
        (None, Some(id)) => (id, 0),
        (None, None) if user.is_empty() => (0, 0),
        (None, None) => return Err(UnknownUser { what: "user", name: user.to_owned() }),
    };
    let home = entry.and_then(|entry| entry.fields.get(5)).map(|home| (*home).to_owned());
    if let Some(name) = wanted_group.filter(|name| !name.is_empty()) {
        let gid = group_id(name, &groups)?;
        return Ok(Identity { uid, gid, groups: vec![gid], home });
    }
    let member = |entry: &&Entry<'_>| {
        let names = entry.fields.get(3).copied().unwrap_or_default();
        let own = users.iter().find(|user| number(&user.fields, 2) == Some(uid)).map(|user| user.name);
        own.is_some_and(|own| names.split(',').any(|name| name.trim() == own))
    };
    let mut all = vec![gid];
    all.extend(
        groups.iter().filter(member).filter_map(|entry| number(&entry.fields, 2)).filter(|id| *id != gid),
    );
    Ok(Identity { uid, gid, groups: all, home })
}

fn group_id(name: &str, groups: &[Entry<'_>]) -> Result<u32, UnknownUser> {
    let named = groups.iter().find(|entry| entry.name == name).and_then(|entry| number(&entry.fields, 2));
    named.or_else(|| name.parse().ok()).ok_or_else(|| UnknownUser { what: "group", name: name.to_owned() })
}

/// Whether names must be looked up to know the owner: numbers alone need no file of the image.
pub fn needs_lookup(owner: &str) -> bool {
    owner.split(':').any(|part| !part.is_empty() && part.parse::<u32>().is_err())
}

/// `USER[:GROUP]` of `--chown`: a number without a group is its own group; a name's group is that of its entry.
pub fn file_owner(owner: &str, passwd: &[u8], group: &[u8]) -> Result<(u32, u32), UnknownUser> {
    let (user, wanted_group) =
        owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let wanted_group = wanted_group.filter(|name| !name.is_empty());
    let (uid, own_gid) = match user.parse::<u32>() {
        Ok(id) => (id, id),
        Err(_) if user.is_empty() => (0, 0),
        Err(_) => {
            let users = entries(passwd);
            let entry = users.iter().find(|entry| entry.name == user);
            let ids = entry.and_then(|entry| Some((number(&entry.fields, 2)?, number(&entry.fields, 3)?)));
            ids.ok_or_else(|| UnknownUser { what: "user", name: user.to_owned() })?
        }
    };
    let gid = match wanted_group {
        None => own_gid,
        Some(name) => match name.parse::<u32>() {
            Ok(id) => id,
            Err(_) => group_id(name, &entries(group))?,
        },
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n# none\napp:x:1000:1001:App:/home/app:/bin/sh\nmail:x:8:12::/var/mail:\n";
    const GROUP: &[u8] = b"root:x:0:root\nstaff:x:50:mail,app\nwheel:x:10:app\napp:x:1001:\n";

    #[test]
    fn users_of_processes() {
        for (user, uid, gid, groups, home) in [
            ("", 0, 0, vec![0], Some("/root")),
            ("root", 0, 0, vec![0], Some("/root")),
            ("app", 1000, 1001, vec![1001, 50, 10], Some("/home/app")),
            ("1000", 1000, 1001, vec![1001, 50, 10], Some("/home/app")),
            ("app:wheel", 1000, 10, vec![10], Some("/home/app")),
            ("4242", 4242, 0, vec![0], None),
            ("4242:77", 4242, 77, vec![77], None),
            ("4294967294:4294967294", 4_294_967_294, 4_294_967_294, vec![4_294_967_294], None),
        ] {
            let expected = Identity { uid, gid, groups, home: home.map(str::to_owned) };
            assert_eq!(process_identity(user, PASSWD, GROUP), Ok(expected), "{user}");
        }
        let unknown = |what, name: &str| Err(UnknownUser { what, name: name.to_owned() });
        assert_eq!(process_identity("nobody", PASSWD, GROUP), unknown("user", "nobody"));
        assert_eq!(process_identity("app:nogroup", PASSWD, GROUP), unknown("group", "nogroup"));
        assert_eq!(process_identity("", b"", b"").map(|identity| identity.uid), Ok(0));
    }

    #[test]
    fn owners_of_files() {
        for (owner, ids, lookup) in [
            ("1000", (1000, 1000), false),
            ("1000:5", (1000, 5), false),
            ("app", (1000, 1001), true),
            ("app:staff", (1000, 50), true),
            ("7:wheel", (7, 10), true),
            ("app:3", (1000, 3), true),
        ] {
            assert_eq!(file_owner(owner, PASSWD, GROUP), Ok(ids), "{owner}");
            assert_eq!(needs_lookup(owner), lookup, "{owner}");
        }
        assert!(file_owner("x", PASSWD, GROUP).is_err() && file_owner("app:x", PASSWD, GROUP).is_err());
    }
}
