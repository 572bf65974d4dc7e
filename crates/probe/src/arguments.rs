//! The words of the command line and the environment, as the kernel hands them over: pointers that end with a null.

use core::ffi::CStr;

/// The words that were not taken yet.
pub(crate) struct Arguments {
    next: *mut *const u8,
    environment: *const *const u8,
}

impl Arguments {
    /// The arguments after the program's name.
    ///
    /// # Safety
    ///
    /// `stack` is what the kernel gave the process: the number of arguments, a pointer for each and a null, then a pointer for each
    /// variable of the environment and a null. Nobody else reads or writes it.
    #[cfg(not(test))]
    pub(crate) unsafe fn of_kernel(stack: *mut *const u8) -> Arguments {
        // SAFETY: by the caller's promise these are all inside what the kernel wrote.
        unsafe {
            let count = stack.read().addr();
            let first = stack.add(1);
            let next = first.add(usize::from(count > 0));
            Arguments { next, environment: first.add(count + 1) }
        }
    }

    /// The arguments in these pointers, and this environment.
    ///
    /// # Safety
    ///
    /// Both end with a null, and what they point to lives as long as the process.
    #[cfg(test)]
    pub(crate) unsafe fn of_pointers(next: *mut *const u8, environment: *const *const u8) -> Arguments {
        Arguments { next, environment }
    }

    /// The next word, without taking it.
    pub(crate) fn peek(&self) -> Option<&'static [u8]> {
        // SAFETY: `next` never moves past the null, and the words live as long as the process.
        unsafe { word(self.next.read()) }
    }

    /// The next word.
    pub(crate) fn next(&mut self) -> Option<&'static [u8]> {
        let word = self.peek()?;
        // SAFETY: there was a word, so there is a pointer after it.
        self.next = unsafe { self.next.add(1) };
        Some(word)
    }

    /// The pointers to the words that were not taken, with their null. There is at least one pointer before them that may be overwritten: to the
    /// program's name, or to a word that was taken.
    pub(crate) fn pointers(&self) -> *mut *const u8 {
        self.next
    }

    /// The pointers to the variables, with their null.
    pub(crate) fn environment(&self) -> *const *const u8 {
        self.environment
    }

    /// A variable's value.
    pub(crate) fn variable(&self, name: &[u8]) -> Option<&'static [u8]> {
        let mut next = self.environment;
        loop {
            // SAFETY: the loop ends at the null.
            let variable = unsafe { word(next.read())? };
            if let Some(value) = variable.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
                return Some(value);
            }
            // SAFETY: there was a variable, so there is a pointer after it.
            next = unsafe { next.add(1) };
        }
    }
}

/// # Safety
///
/// The pointer is null, or to bytes that end with a zero and live as long as the process.
unsafe fn word(pointer: *const u8) -> Option<&'static [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise.
    Some(unsafe { CStr::from_ptr(pointer.cast()) }.to_bytes())
}

/// Arguments and an environment for tests; the memory is given up.
#[cfg(test)]
pub(crate) fn arguments(words: &[&str], environment: &[&str]) -> Arguments {
    let pointers = |words: &[&str]| {
        let owned = words.iter().map(|word| &*format!("{word}\0").leak()).map(str::as_ptr);
        owned.chain([core::ptr::null()]).collect::<Vec<_>>().leak()
    };
    let all: Vec<&str> = ["probe"].iter().chain(words).copied().collect();
    let (words, environment) = (pointers(&all), pointers(environment));
    // SAFETY: both end with a null and were leaked.
    let mut arguments = unsafe { Arguments::of_pointers(words.as_mut_ptr(), environment.as_ptr()) };
    arguments.next();
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_variables_are_found() {
        let mut arguments =
            arguments(&["a", "", "b c"], &["HOME=/", "PATHS=x", "PATH=/bin:/usr/bin", "EMPTY="]);
        let mut words = Vec::new();
        assert_eq!(arguments.peek(), Some(&b"a"[..]));
        while let Some(word) = arguments.next() {
            words.push(word);
        }
        assert_eq!(words, [&b"a"[..], b"", b"b c"]);
        assert_eq!(arguments.next(), None);
        assert_eq!(arguments.variable(b"PATH"), Some(&b"/bin:/usr/bin"[..]));
        assert_eq!(arguments.variable(b"EMPTY"), Some(&b""[..]));
        assert_eq!(arguments.variable(b"HOM"), None);
    }
}
