use std::{
    error::Error,
    fmt::{self, Display},
};

/// Displays an error and all its sources: `can't place the order: request timed out: connection refused`.
///
/// A source whose text already ends the text of its parent is not repeated.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> impl Display + 'a {
    fmt::from_fn(move |f| {
        let mut last = error.to_string();
        f.write_str(&last)?;
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            next = source.source();
        }
        Ok(())
    })
}

/// For a step that only saves time or trouble: that it failed is said once, by name, and nothing depends on it.
pub fn can_fail<T, E: Error + 'static>(step: &str, result: Result<T, E>) {
    if let Err(error) = result {
        tracing::info!(step, error = %chain(&error), "failed, which nothing depends on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Failure(&'static str, Option<Box<Failure>>);

    impl Display for Failure {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Failure {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    fn failure(texts: &[&'static str]) -> Failure {
        let (first, rest) = texts.split_first().unwrap();
        Failure(first, (!rest.is_empty()).then(|| Box::new(failure(rest))))
    }

    #[test]
    fn names_every_source_in_order() {
        assert_eq!(chain(&failure(&["a"])).to_string(), "a");
        assert_eq!(chain(&failure(&["a", "b", "c"])).to_string(), "a: b: c");
    }

    #[test]
    fn does_not_repeat_what_a_parent_already_says() {
        assert_eq!(chain(&failure(&["a: b: c", "b: c", "c"])).to_string(), "a: b: c");
        assert_eq!(chain(&failure(&["a", "a", "b"])).to_string(), "a: b");
        assert_eq!(chain(&failure(&["a", "", "b"])).to_string(), "a: b");
    }

    #[test]
    fn takes_boxed_errors() {
        let boxed: Box<dyn Error + Send + Sync> = Box::new(failure(&["a", "b"]));
        assert_eq!(chain(&*boxed).to_string(), "a: b");
    }
}
