//! One session as bytes, for a store outside of the process.
//! Invariants: the first byte is the version, and a session of another version is never read as one of this. Times are
//! on the wall clock, because the monotonic one ends with its process. Knows no store, which has to seal the bytes.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Moment, UnixTime};
use crate::identity::Identity;
use crate::identity::claim_set::ClaimSet;
use crate::identity::claims::GroupsPath;
use crate::identity::refresh_baseline::{IdTokenBinding, OwnClaims, RefreshBaseline};
use crate::secret::Secret;
use crate::session::{ProviderMark, Session, SessionData, SessionKey, Times, Tokens};

/// The same instant on both clocks, by which times are converted.
#[derive(Clone, Copy, Debug)]
pub struct Timeline {
    moment: Moment,
    /// Milliseconds since 1970.
    unix: i64,
}

/// Why bytes are not a session that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Another version wrote it.
    #[error("a session has the format {0}, this version reads the format {VERSION}")]
    Version(u8),
    /// The bytes are not what [`encode`] writes.
    #[error("a session is damaged")]
    Damaged,
}

/// Reads sessions. Sessions of one provider share the texts that are the same.
#[derive(Debug)]
pub struct Decoder {
    timeline: Timeline,
    provider: Option<Arc<str>>,
    groups_claim: Option<GroupsPath>,
}

/// A session, all of whose texts are in the bytes.
#[derive(Serialize, Deserialize)]
struct Record<'r> {
    key: [u8; 32],
    provider: ProviderMark,
    began: i64,
    ends: i64,
    used: i64,
    #[serde(borrow)]
    identity: IdentityRecord<'r>,
    #[serde(borrow)]
    baseline: BaselineRecord<'r>,
    #[serde(borrow)]
    tokens: TokensRecord<'r>,
}

#[derive(Serialize, Deserialize)]
struct IdentityRecord<'r> {
    provider: &'r str,
    subject: &'r str,
    #[serde(borrow)]
    user: Option<&'r str>,
    #[serde(borrow)]
    email: Option<&'r str>,
    email_withheld: bool,
    groups_missing: bool,
    most_groups: Option<u64>,
    groups_claim: &'r str,
    #[serde(borrow)]
    groups_member: Option<&'r str>,
    #[serde(borrow)]
    name: Option<&'r str>,
    #[serde(borrow)]
    preferred_username: Option<&'r str>,
    claims: &'r str,
}

#[derive(Serialize, Deserialize)]
struct BaselineRecord<'r> {
    subject: &'r str,
    nonce: &'r str,
    auth_time: Option<i64>,
    #[serde(borrow)]
    id_token_claims: Option<OwnClaimsRecord<'r>>,
    has_userinfo: bool,
    stale_since: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct OwnClaimsRecord<'r> {
    /// `None` for those of the identity, as nearly always.
    #[serde(borrow)]
    all: Option<&'r str>,
    #[serde(borrow)]
    confirmed: Vec<&'r str>,
    #[serde(borrow)]
    added: Vec<&'r str>,
    differing: &'r str,
}

#[derive(Serialize, Deserialize)]
struct TokensRecord<'r> {
    #[serde(borrow)]
    access_token: Option<&'r str>,
    expires: Option<i64>,
    due: Option<i64>,
    #[serde(borrow)]
    refresh_token: Option<&'r str>,
    #[serde(borrow)]
    id_token: Option<&'r str>,
}

impl Timeline {
    /// Now, but not before `written`: while the wall clock is behind the time at which a session was written, it
    /// counts as just written, so that it does not live longer.
    pub fn not_before(written: UnixTime, clock: &Clock) -> Self {
        let now = Self::now(clock);
        Self { unix: now.unix.max(written.0.saturating_mul(1000)), ..now }
    }

    /// Now.
    pub fn now(clock: &Clock) -> Self {
        let unix = i64::try_from(clock.since_epoch().as_millis()).unwrap_or(i64::MAX);
        Self { moment: clock.moment(), unix }
    }

    fn to_unix(self, moment: Moment) -> i64 {
        let millis = |moment: Moment| i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
        self.unix.saturating_add(millis(moment).saturating_sub(millis(self.moment)))
    }

    fn to_moment(self, unix: i64) -> Moment {
        let now = i64::try_from(self.moment.as_millis()).unwrap_or(i64::MAX);
        let millis = now.saturating_add(unix.saturating_sub(self.unix));
        Moment::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Appends a session with this data to `bytes`.
pub fn encode(
    session: &Session,
    data: &SessionData,
    timeline: Timeline,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let SessionData { identity, baseline, tokens, .. } = data;
    let Times { began, ends, used } = session.times();
    let record = Record {
        key: session.key().bytes(),
        provider: session.provider(),
        began: timeline.to_unix(began),
        ends: timeline.to_unix(ends),
        used: timeline.to_unix(used),
        identity: IdentityRecord::of(identity),
        baseline: BaselineRecord::of(baseline, &identity.claims),
        tokens: TokensRecord::of(tokens, timeline),
    };
    bytes.push(VERSION);
    postcard::to_io(&record, bytes).map_err(io::Error::other)?;
    Ok(())
}

impl Decoder {
    /// Reads sessions by this timeline.
    pub fn new(timeline: Timeline) -> Self {
        Self { timeline, provider: None, groups_claim: None }
    }

    /// Reads what [`encode`] wrote.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Session, Unreadable> {
        let (version, bytes) = bytes.split_first().ok_or(Unreadable::Damaged)?;
        if *version != VERSION {
            return Err(Unreadable::Version(*version));
        }
        let (record, rest) =
            postcard::take_from_bytes::<Record<'_>>(bytes).map_err(|_| Unreadable::Damaged)?;
        if !rest.is_empty() {
            return Err(Unreadable::Damaged);
        }
        let identity = self.identity(&record.identity).ok_or(Unreadable::Damaged)?;
        let baseline = record.baseline.read(&identity);
        let tokens = record.tokens.read(self.timeline);
        let [began, ends, used] =
            [record.began, record.ends, record.used].map(|unix| self.timeline.to_moment(unix));
        Ok(Session::with_times(
            SessionKey::of_bytes(record.key),
            record.provider,
            SessionData::new(identity, baseline, tokens),
            Times { began, ends, used },
        ))
    }

    fn identity(&mut self, record: &IdentityRecord<'_>) -> Option<Identity> {
        let subject: Arc<str> = record.subject.into();
        let user = record.user.map(|user| match user == record.subject {
            true => Arc::clone(&subject),
            false => user.into(),
        });
        Some(Identity {
            provider: self.provider(record.provider),
            subject,
            user,
            email: record.email.map(str::to_owned),
            email_withheld: record.email_withheld,
            groups_missing: record.groups_missing,
            most_groups: match record.most_groups {
                Some(most) => Some(usize::try_from(most).ok()?),
                None => None,
            },
            groups_claim: self.groups_claim(record.groups_claim, record.groups_member)?,
            name: record.name.map(str::to_owned),
            preferred_username: record.preferred_username.map(str::to_owned),
            claims: ClaimSet::stored(record.claims),
        })
    }

    fn provider(&mut self, id: &str) -> Arc<str> {
        if self.provider.as_deref() != Some(id) {
            self.provider = Some(id.into());
        }
        self.provider.clone().unwrap_or_else(|| id.into())
    }

    fn groups_claim(&mut self, claim: &str, member: Option<&str>) -> Option<GroupsPath> {
        let is_it = |path: &GroupsPath| path.parts() == (claim, member);
        if !self.groups_claim.as_ref().is_some_and(is_it) {
            self.groups_claim = Some(GroupsPath::of_parts(claim, member)?);
        }
        self.groups_claim.clone()
    }
}

impl<'r> IdentityRecord<'r> {
    fn of(identity: &'r Identity) -> Self {
        // All fields, so that a new one is not forgotten here.
        let Identity {
            provider,
            subject,
            user,
            email,
            email_withheld,
            groups_missing,
            most_groups,
            groups_claim,
            name,
            preferred_username,
            claims,
        } = identity;
        let (groups_claim, groups_member) = groups_claim.parts();
        Self {
            provider,
            subject,
            user: user.as_deref(),
            email: email.as_deref(),
            email_withheld: *email_withheld,
            groups_missing: *groups_missing,
            most_groups: most_groups.and_then(|most| u64::try_from(most).ok()),
            groups_claim,
            groups_member,
            name: name.as_deref(),
            preferred_username: preferred_username.as_deref(),
            claims: claims.text(),
        }
    }
}

impl<'r> BaselineRecord<'r> {
    fn of(baseline: &'r RefreshBaseline, claims: &ClaimSet) -> Self {
        let RefreshBaseline { binding, id_token_claims, has_userinfo, stale_since } = baseline;
        let IdTokenBinding { subject, nonce, auth_time } = binding;
        let own = id_token_claims.as_ref().map(|own| {
            let (all, names, differing) = own.parts();
            let [confirmed, added] = names.map(|names| names.iter().map(String::as_str).collect());
            OwnClaimsRecord {
                all: (all != claims).then(|| all.text()),
                confirmed,
                added,
                differing: differing.text(),
            }
        });
        Self {
            subject,
            nonce,
            auth_time: *auth_time,
            id_token_claims: own,
            has_userinfo: *has_userinfo,
            stale_since: stale_since.map(|UnixTime(at)| at),
        }
    }

    fn read(&self, identity: &Identity) -> RefreshBaseline {
        let own = self.id_token_claims.as_ref().map(|own| {
            let all = own.all.map_or_else(|| identity.claims.clone(), ClaimSet::stored);
            let names = [&own.confirmed, &own.added]
                .map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            OwnClaims::of_parts(all, names, ClaimSet::stored(own.differing))
        });
        RefreshBaseline {
            binding: IdTokenBinding {
                subject: self.subject.into(),
                nonce: self.nonce.to_owned(),
                auth_time: self.auth_time,
            },
            id_token_claims: own,
            has_userinfo: self.has_userinfo,
            stale_since: self.stale_since.map(UnixTime),
        }
    }
}

impl<'r> TokensRecord<'r> {
    fn of(tokens: &'r Tokens, timeline: Timeline) -> Self {
        let Tokens { access_token, expires, due, refresh_token, id_token } = tokens;
        Self {
            access_token: access_token.as_ref().map(Secret::expose),
            expires: expires.map(|moment| timeline.to_unix(moment)),
            due: due.map(|moment| timeline.to_unix(moment)),
            refresh_token: refresh_token.as_ref().map(Secret::expose),
            id_token: id_token.as_ref().map(Secret::expose),
        }
    }

    fn read(&self, timeline: Timeline) -> Tokens {
        Tokens {
            access_token: self.access_token.map(Secret::new),
            expires: self.expires.map(|unix| timeline.to_moment(unix)),
            due: self.due.map(|unix| timeline.to_moment(unix)),
            refresh_token: self.refresh_token.map(Secret::new),
            id_token: self.id_token.map(Secret::new),
        }
    }
}

/// The version that is written, and the only one that is read.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::identity::tests::person;
    use crate::session::SessionId;
    use crate::session::tests::{baseline, token_set};

    /// A session with a value in every field.
    fn full(now: Moment) -> Session {
        let claims = |value: serde_json::Value| value.as_object().unwrap().clone();
        let all: ClaimSet =
            claims(json!({"sub": "alice", "groups": ["a", "b"], "n": 1e300, "t": "\u{0}ä"})).into();
        let identity = Identity {
            user: Some("al".into()),
            email: Some("alice@example.com".to_owned()),
            email_withheld: true,
            groups_missing: true,
            most_groups: Some(100),
            groups_claim: GroupsPath::parse("access_token:/a/*/name").unwrap(),
            name: Some("Alice Ä".to_owned()),
            preferred_username: Some("alice".to_owned()),
            claims: all.clone(),
            ..person("alice")
        };
        let own = claims(json!({"sub": "alice", "groups": []}));
        let mut baseline = baseline("alice");
        baseline.binding.nonce = "nonce".to_owned();
        baseline.binding.auth_time = Some(-7);
        baseline.id_token_claims = Some(OwnClaims::new(own, ["sub".to_owned()].into(), &all));
        baseline.has_userinfo = true;
        baseline.stale_since = Some(UnixTime(1_800_000_000));
        let set = token_set("access", 300, Some("refresh"));
        let mut tokens = Tokens::new(set, Duration::from_secs(60));
        tokens.expires = Some(now.after(Duration::from_secs(300)));
        tokens.due = Some(now.after(Duration::from_secs(240)));
        tokens.id_token = Some(Secret::new("id"));
        let data = SessionData::new(identity, baseline, tokens);
        Session::new(&SessionId::generate(), [7; 8], data, now, Duration::from_secs(3600))
    }

    /// A clock of a process that began after sessions of earlier ones.
    fn clock() -> Clock {
        let clock = Clock::manual();
        clock.advance(Duration::from_secs(90_000));
        clock
    }

    fn encoded(session: &Session, clock: &Clock) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(session, &session.data(), Timeline::now(clock), &mut bytes).unwrap();
        bytes
    }

    /// Reads a session and compares it with the one that was written.
    #[track_caller]
    fn check(session: &Session, clock: &Clock) {
        let bytes = encoded(session, clock);
        let read = Decoder::new(Timeline::now(clock)).decode(&bytes).unwrap();
        assert_eq!((read.key(), read.provider()), (session.key(), session.provider()));
        assert_eq!(format!("{:?}", read.times()), format!("{:?}", session.times()));
        let (read, written) = (read.data(), session.data());
        assert_eq!(read.identity, written.identity);
        assert_eq!(read.baseline, written.baseline);
        assert_eq!(
            (read.tokens.expires, read.tokens.due),
            (written.tokens.expires, written.tokens.due)
        );
        assert_eq!(read.tokens.access_token, written.tokens.access_token);
        assert_eq!(read.tokens.refresh_token, written.tokens.refresh_token);
        assert_eq!(read.tokens.id_token, written.tokens.id_token);
        assert!(Arc::ptr_eq(&read.identity.subject, &read.baseline.binding.subject));
    }

    #[test]
    fn session_is_read_as_it_was_written() {
        let clock = clock();
        let session = full(clock.moment());
        clock.advance(Duration::from_secs(100));
        session.touch(clock.moment());
        check(&session, &clock);
        check(&crate::session::tests::session("bob", 60, None, clock.moment()), &clock);
    }

    #[test]
    fn sessions_of_a_provider_share_its_texts() {
        let clock = clock();
        let bytes = encoded(&full(clock.moment()), &clock);
        let mut decoder = Decoder::new(Timeline::now(&clock));
        let [first, second] = [(); 2].map(|()| decoder.decode(&bytes).unwrap());
        let (first, second) = (first.data(), second.data());
        assert!(Arc::ptr_eq(&first.identity.provider, &second.identity.provider));
    }

    #[test]
    fn times_continue_in_a_process_with_another_monotonic_clock() {
        let (before, after) = (clock(), clock());
        let session = full(before.moment());
        let bytes = encoded(&session, &before);
        after.advance(Duration::from_secs(50));
        let read = Decoder::new(Timeline::now(&after)).decode(&bytes).unwrap();
        let left = read.ends().since(after.moment()).as_secs();
        assert!((3548..=3551).contains(&left), "{left}");
        let unused = after.moment().since(read.used()).as_secs();
        assert!((49..=52).contains(&unused), "{unused}");
    }

    #[test]
    fn wall_clock_that_is_behind_does_not_extend_a_session() {
        let (before, after) = (clock(), clock());
        before.advance(Duration::from_secs(1000));
        let bytes = encoded(&full(before.moment()), &before);
        let timeline = Timeline::not_before(before.unix(), &after);
        let read = Decoder::new(timeline).decode(&bytes).unwrap();
        let left = read.ends().since(after.moment()).as_secs();
        assert!((3599..=3601).contains(&left), "{left}");
    }

    #[test]
    fn another_version_or_part_of_a_session_is_not_read() {
        let clock = clock();
        let bytes = encoded(&full(clock.moment()), &clock);
        let read = |bytes: &[u8]| Decoder::new(Timeline::now(&clock)).decode(bytes).err();
        for version in [0, 2, 255] {
            let mut other = bytes.clone();
            other[0] = version;
            assert_eq!(read(&other), Some(Unreadable::Version(version)));
        }
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Some(Unreadable::Damaged), "{length}");
        }
        assert_eq!(read(&[&bytes[..], &[0]].concat()), Some(Unreadable::Damaged));
    }

    proptest! {
        /// A store authenticates its bytes. If one does not, nothing panics.
        #[test]
        fn any_bytes_are_read_or_are_an_error(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            noise in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let clock = clock();
            let mut bytes = encoded(&full(clock.moment()), &clock);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for bytes in [bytes, [&[VERSION][..], &noise].concat()] {
                let read = Decoder::new(Timeline::now(&clock)).decode(&bytes);
                prop_assert!(read.is_err() || read.is_ok_and(|one| one.data().identity.groups().count() < 9));
            }
        }
    }
}
