//! A TCP connection, on which whatever goes wrong ends the process.
//!
//! One timer limits all that is done with it: from its end on it interrupts whatever the process waits for in the kernel, again and again, so that
//! no call between two waits can miss it.

use crate::errno::{self, CONNREFUSED, INTR};
use crate::system;
use crate::target::Target;
use crate::text::{self, SHOWN};

/// The service is not known to be well.
const UNWELL: i32 = 1;

/// An open connection; it ends with the process.
pub(crate) struct Connection<'a> {
    /// What is asked, for messages.
    url: &'a [u8],
    descriptor: i32,
}

impl<'u> Connection<'u> {
    /// Connects to a target; this and all that follows may take so many milliseconds. `localhost` is 127.0.0.1, and where that fails ::1.
    pub(crate) fn open(target: &mut Target<'u>, timeout: u64) -> Connection<'u> {
        system::interrupt_after(timeout);
        let mut connection = Connection { url: target.url, descriptor: 0 };
        let first = connection.connect(target.address());
        // Where both fail, the first tells more: many containers have no IPv6.
        if first < 0
            && (first == INTR || !target.try_other_address() || connection.connect(target.address()) < 0)
        {
            connection.fail("cannot connect", first);
        }
        connection
    }

    /// Connects to an address; answers as a system call does.
    #[inline(never)]
    fn connect(&mut self, address: &[u8]) -> isize {
        let descriptor = system::socket(address);
        if descriptor < 0 {
            return descriptor;
        }
        // One that does not come to be a connection stays open until the process ends, which is soon.
        self.descriptor = descriptor as i32;
        let outcome = system::connect(self.descriptor, address);
        // A socket can be given the very port that it connects to, and is then connected to itself.
        if outcome == 0 && system::has_own_address(self.descriptor, address) {
            return CONNREFUSED;
        }
        outcome
    }

    /// Sends all of a request.
    #[inline(never)]
    pub(crate) fn send(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let sent = self.succeeded(system::send(self.descriptor, bytes));
            bytes = text::behind(bytes, sent);
        }
    }

    /// Receives some of an answer behind these bytes of the buffer, and returns how many there are then.
    #[inline(never)]
    pub(crate) fn receive(&self, buffer: &mut [u8], length: usize) -> usize {
        let space = buffer.get_mut(length..).unwrap_or_default();
        match self.succeeded(system::receive(self.descriptor, space)) {
            // There was no space, or there is no more.
            0 => self.fail("no valid answer", 0),
            received => length + received,
        }
    }

    fn succeeded(&self, answer: isize) -> usize {
        if answer < 0 {
            self.fail("no answer", answer);
        }
        answer.cast_unsigned()
    }

    /// Says what came instead of health, with an error of the kernel if there is one, and ends the process.
    #[inline(never)]
    pub(crate) fn fail(&self, what: &str, error: isize) -> ! {
        self.fail_with(what.as_bytes(), errno::words(error))
    }

    /// Says what came instead of health, and ends the process.
    #[inline(never)]
    pub(crate) fn fail_with(&self, what: &[u8], shown: &[u8]) -> ! {
        text::line(&[b"probe: ", text::first(self.url, SHOWN), b": ", what, shown]);
        system::exit(UNWELL)
    }
}
