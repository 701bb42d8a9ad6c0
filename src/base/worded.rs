//! Enums with a word for each variant. The word is written down once, and the database, messages and pages all use it.

/// Declares an enum of words. sqlx writes and reads a variant as its word, serde writes it, `name()` gives it, `from_name()` finds it,
/// and `ALL` lists the variants in the order in which they are declared.
macro_rules! words {
    ($(#[$of_enum:meta])* pub enum $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of_enum])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
        #[sqlx(type_name = "text")]
        pub enum $name {
            $($(#[$of_variant])* #[sqlx(rename = $word)] $variant,)+
        }

        impl $name {
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$variant),+];

            /// Its word, wherever it is written: in the database, in messages, in addresses and on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The variant whose word this is, if any.
            pub fn from_name(name: &str) -> Option<$name> {
                $name::ALL.into_iter().find(|known| known.name() == name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use sqlx::Postgres;
    use sqlx::encode::Encode;
    use sqlx::postgres::PgArgumentBuffer;

    words! {
        /// What becomes of a letter.
        pub enum Letter {
            Sent = "sent",
            SentBack = "sent_back",
        }
    }

    #[test]
    fn a_variant_is_written_to_the_database_by_its_name() {
        for letter in Letter::ALL {
            let mut written = PgArgumentBuffer::default();
            let _ = <Letter as Encode<'_, Postgres>>::encode_by_ref(&letter, &mut written).unwrap();
            assert_eq!(written.as_slice(), letter.name().as_bytes());
        }
        assert_eq!(Letter::ALL.map(Letter::name), ["sent", "sent_back"]);
        assert_eq!(Letter::ALL.map(|letter| Letter::from_name(letter.name())), Letter::ALL.map(Some));
        assert_eq!(Letter::from_name("Sent"), None);
    }
}
