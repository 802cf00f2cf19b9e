//! The request's fields: as the client sent them, until a module changes one.

use super::made_from::AskedFields;
use crate::http::field::{Fields, Known, Values, is_token, is_value};
use crate::http::head::Head;
use crate::log::access;

/// Fields to look up, which remember what was asked for.
#[derive(Debug)]
pub(crate) struct RequestFields<'r> {
    form: Form<'r>,
    asked: AskedFields,
}

/// Unchanged, they are the head's own, with its index; changed, they are a block of lines of our own.
#[derive(Debug)]
enum Form<'r> {
    /// As they came.
    Sent(&'r Head<'r>),
    /// As `RequestHeader` and its kind have left them.
    Edited(EditedFields),
}

/// Fields that are not the client's any more: `name: value CRLF`, one behind the other, all well-formed.
#[derive(Clone, Debug, Default)]
pub struct EditedFields {
    block: Vec<u8>,
}

impl<'r> RequestFields<'r> {
    /// As they came.
    pub(crate) fn sent(head: &'r Head<'r>) -> Self {
        Self { form: Form::Sent(head), asked: AskedFields::default() }
    }

    /// None; [`RequestFields::replace`] gives it some.
    pub(crate) fn none() -> Self {
        Self { form: Form::Edited(EditedFields::default()), asked: AskedFields::default() }
    }

    /// Those that somebody has asked for.
    pub(super) fn asked(&self) -> &AskedFields {
        &self.asked
    }

    /// The first value of a known field, for whoever only tells of it.
    pub(super) fn glance(&self, known: Known) -> Option<&[u8]> {
        match &self.form {
            Form::Sent(head) => head.first(known),
            Form::Edited(edited) => edited.header(known.name()),
        }
    }

    /// The first value of a known field.
    pub(crate) fn first(&self, known: Known) -> Option<&[u8]> {
        self.asked.note(known);
        self.glance(known)
    }

    /// All values of a known field.
    pub(crate) fn values(&self, known: Known) -> Values<'_> {
        self.asked.note(known);
        match &self.form {
            Form::Sent(head) => head.values(known),
            Form::Edited(edited) => Values::named(known.name(), edited.iter()),
        }
    }

    /// The value of a known field that may occur once only; `None` also if it is repeated.
    pub(crate) fn single(&self, known: Known) -> Option<&[u8]> {
        self.values(known).single()
    }

    /// The first field of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// All fields of this name, in any case.
    pub(crate) fn headers<'f, 'n>(
        &'f self,
        name: &'n str,
    ) -> impl Iterator<Item = &'f [u8]> + use<'f, 'n> {
        self.asked.note_name(name);
        self.all()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// All fields in order.
    pub(crate) fn iter(&self) -> Fields<'_> {
        self.asked.note_all();
        self.all()
    }

    fn all(&self) -> Fields<'_> {
        match &self.form {
            Form::Sent(head) => head.fields(),
            Form::Edited(edited) => edited.iter(),
        }
    }

    /// Replaces all fields. What could not stand in a head is left out.
    pub(crate) fn replace<'f>(&mut self, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) {
        let mut block = Vec::new();
        let legal = |(name, value): &(&[u8], &[u8])| is_token(name) && is_value(value);
        for (name, value) in fields.into_iter().filter(legal) {
            for part in [name, b": ", value, b"\r\n"] {
                block.extend_from_slice(part);
            }
        }
        self.form = Form::Edited(EditedFields { block });
    }

    /// What was changed, for the log; `None` if nothing was.
    pub(crate) fn into_edited(self) -> Option<EditedFields> {
        match self.form {
            Form::Sent(_) => None,
            Form::Edited(edited) => Some(edited),
        }
    }
}

impl EditedFields {
    fn iter(&self) -> Fields<'_> {
        Fields::of_checked_block(&self.block)
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

impl access::Fields for EditedFields {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.header(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{HeadLimits, Parse, parse};

    #[test]
    fn edited_fields_are_looked_up_like_sent_ones() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\naccept: y\r\n\r\n";
        let Parse::Complete { head, .. } = parse(text, &HeadLimits::default()) else { panic!() };
        let mut fields = RequestFields::sent(&head);
        let seen = |fields: &RequestFields<'_>| {
            let all: Vec<_> = fields.values(Known::Accept).map(<[u8]>::to_vec).collect();
            (all, fields.header("HOST").map(<[u8]>::to_vec), fields.single(Known::Accept).is_some())
        };
        let sent = seen(&fields);
        assert_eq!(sent, (vec![b"x".to_vec(), b"y".to_vec()], Some(b"a".to_vec()), false));
        let copy: Vec<_> = head.fields().collect();
        fields.replace(copy);
        assert_eq!(seen(&fields), sent);
        fields.replace([(&b"Accept"[..], &b"z"[..]), (b"Bad", b"a\r\nb"), (b"no token", b"")]);
        assert_eq!(seen(&fields), (vec![b"z".to_vec()], None, true));
        assert_eq!(fields.iter().count(), 1);
    }
}
