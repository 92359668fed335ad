//! What a build says, kept to be read.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bstr::BStr;
use futures::future::LocalBoxFuture;
use obuilder::builder::BuildLog;

/// What a build has said so far: all of it, and what its steps printed.
pub(crate) struct Log {
    text: RefCell<String>,
    output: RefCell<String>,
}

impl Log {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            text: RefCell::default(),
            output: RefCell::default(),
        })
    }

    /// Returns everything, as `obuilder build` prints it.
    pub(crate) fn text(&self) -> String {
        self.text.borrow().clone()
    }

    /// Returns what the steps printed.
    pub(crate) fn output(&self) -> String {
        self.output.borrow().clone()
    }

    fn push(&self, text: &str) {
        self.text.borrow_mut().push_str(text);
    }
}

impl BuildLog for Log {
    fn heading(&self, text: &BStr) -> io::Result<()> {
        self.push(&format!("{text}\n"));
        Ok(())
    }

    fn note(&self, text: &str) -> io::Result<()> {
        self.push(&format!("{text}\n"));
        Ok(())
    }

    fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        let text = String::from_utf8_lossy(bytes);
        self.push(&text);
        self.output.borrow_mut().push_str(&text);
        Box::pin(async { Ok(()) })
    }
}
