//! Expressions: whatever is accepted comes to something, the same each time, and its opposite to the opposite.

use std::io;
use std::net::IpAddr;

use herdgate_sys::file::Stat;

use super::parts;
use crate::expr::{Condition, Facts, Groups, Text};

/// What a field of the request says, then the expression.
pub(super) fn check(bytes: &[u8]) {
    let [said, expression] = parts(bytes);
    let Ok(expression) = std::str::from_utf8(expression) else { return };
    let world = World { said };
    if let Ok(condition) = Condition::parse(expression) {
        let holds = |condition: &Condition| {
            let mut groups = Groups::new();
            let holds = condition.holds(&world, &mut groups).unwrap();
            assert!(groups.is_empty() || groups.len() == 10, "$0 to $9");
            holds
        };
        assert_eq!(condition.text(), expression);
        assert_eq!(holds(&condition), holds(&condition));
        let opposite = Condition::parse(&format!("!({expression})"));
        // In brackets it may be nested too deeply, and no other reason counts.
        match opposite {
            Ok(opposite) => assert_ne!(holds(&opposite), holds(&condition)),
            Err(why) => assert!(why.contains("too deeply"), "{why}"),
        }
    }
    if let Ok(text) = Text::parse(expression) {
        let groups: Groups = (0..10).map(|_| said.to_vec()).collect();
        let found = text.evaluate(&world, &groups).unwrap();
        assert_eq!(text.evaluate(&world, &groups).unwrap(), found);
        let html = text.evaluate_as_html(&world, &groups).unwrap();
        assert!(html.len() >= found.len(), "escapes only make it longer");
    }
}

/// All that an expression can ask about here.
struct World<'s> {
    said: &'s [u8],
}

impl Facts for World<'_> {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let value = match name {
            "REQUEST_URI" => b"/a/b.html".as_slice(),
            "REMOTE_ADDR" => b"192.0.2.7",
            "REQUEST_STATUS" => b"404",
            "QUERY_STRING" => self.said,
            _ => return None,
        };
        Some(value.to_vec())
    }

    fn field(&self, name: &str) -> Option<Vec<u8>> {
        name.eq_ignore_ascii_case("X").then(|| self.said.to_vec())
    }

    fn response_field(&self, name: &str) -> Option<Vec<u8>> {
        self.field(name)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.field(name)
    }

    fn note(&self, name: &str) -> Option<Vec<u8>> {
        self.field(name)
    }

    fn client(&self) -> Option<IpAddr> {
        Some([192, 0, 2, 7].into())
    }

    fn look(&self, _: &[u8], _: bool) -> io::Result<Option<Stat>> {
        Ok(None)
    }

    fn read(&self, file: &[u8]) -> io::Result<Option<Vec<u8>>> {
        Ok((file == b"/f").then(|| self.said.to_vec()))
    }

    fn would_serve(&self, path: &[u8], is_file: bool) -> io::Result<bool> {
        Ok(path.starts_with(b"/") && !is_file)
    }
}
