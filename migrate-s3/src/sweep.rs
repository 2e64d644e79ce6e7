//! A listing read at several places at the same time, and given out in order.
//!
//! The key space behind the last page is cut into stretches of about a page each, at keys that are guessed ([`ahead`]); each
//! is listed by itself, and what comes back is given out when its turn is there. A stretch that holds more than a page is cut
//! again when it comes to the front, one that holds nothing costs a request. So a bucket is listed in parallel whether its
//! keys have prefixes or not, nothing is known beforehand, and only a few pages are held. Called by `listing`.

use std::collections::VecDeque;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::ahead::ahead;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{EMPTY_PAGES_MAX, Entry, From, next_page};
use crate::store::Store;

/// Stretches being listed, or listed and not given out yet.
const WIDTH: usize = 8;

/// A page of fewer objects says little about where the next ones are.
const TELLING: usize = 200;

/// What is listed by one request: after a key, up to and with another.
#[derive(Debug, Clone)]
struct Stretch {
    after: Key,
    until: Option<Key>,
    /// Where the store says that it goes on; instead of a key that cannot be sent.
    token: Option<String>,
}

/// What came of a request.
#[derive(Debug)]
struct Got {
    entries: Vec<Entry>,
    /// What was not listed of the stretch.
    rest: Option<Stretch>,
}

#[derive(Debug)]
enum Slot {
    Waiting(Stretch),
    Asked(u64),
    Got(Got),
}

/// See the module.
pub(crate) struct Sweep<'a> {
    store: &'a Store,
    errand: &'a Errand,
    sender: &'a mpsc::Sender<Vec<Entry>>,
    slots: VecDeque<Slot>,
    in_flight: FuturesUnordered<BoxFuture<'a, (u64, Result<Got, Error>)>>,
    asked_count: u64,
    /// The first and the last key of the last page that told something.
    span: Option<(Key, Key)>,
    /// How many pages a stretch is made to hold.
    stride: f64,
}

/// How a sweep ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// Everything was given out.
    All,
    /// The store does not begin where it is asked to; nothing was given out.
    Unable,
    /// Nobody takes the entries any more.
    Unwanted,
}

impl<'a> Sweep<'a> {
    /// A sweep of `store` that gives its entries to `sender`.
    pub(crate) fn new(store: &'a Store, errand: &'a Errand, sender: &'a mpsc::Sender<Vec<Entry>>) -> Self {
        let (slots, in_flight) = (VecDeque::new(), FuturesUnordered::new());
        Self { store, errand, sender, slots, in_flight, asked_count: 0, span: None, stride: 0.8 }
    }

    /// Lists everything after `after`.
    pub(crate) async fn run(mut self, after: Key) -> Result<Swept, Error> {
        // One page by itself shows whether the store begins after a key when it is asked to.
        match list(self.store, Stretch { after, until: None, token: None }, self.errand).await {
            Ok(got) => self.slots.push_back(Slot::Got(got)),
            Err(Error::ListingOrder { .. }) => return Ok(Swept::Unable),
            Err(error) => return Err(error),
        }
        loop {
            match self.slots.pop_front() {
                None => return Ok(Swept::All),
                Some(Slot::Got(got)) => {
                    if !self.give_out(got).await? {
                        return Ok(Swept::Unwanted);
                    }
                }
                Some(Slot::Waiting(stretch)) => {
                    let asked = self.ask(stretch);
                    self.slots.push_front(asked);
                }
                Some(asked @ Slot::Asked(_)) => {
                    self.slots.push_front(asked);
                    let arrived = self.in_flight.next().await;
                    self.arrived(arrived)?;
                }
            }
        }
    }

    /// Gives out what the first stretch holds and cuts what is left of it; `false` when nobody takes it.
    async fn give_out(&mut self, got: Got) -> Result<bool, Error> {
        let Got { entries, rest } = got;
        if let (Some(first), Some(last)) = (entries.first(), entries.last())
            && entries.len() >= TELLING
        {
            self.span = Some((first.key.clone(), last.key.clone()));
        }
        self.stride = match (&rest, entries.len()) {
            (Some(Stretch { until: Some(_), .. }), _) => (self.stride * 0.8).max(0.05),
            (None, ..TELLING) => (self.stride * 1.3).min(8.0),
            _ => self.stride,
        };
        // Asked for before the entries are given out, so that answers come meanwhile.
        if let Some(rest) = rest {
            self.cut(rest);
        }
        if entries.is_empty() {
            return Ok(true);
        }
        let sender = self.sender;
        let sending = sender.send(entries);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return Ok(sent.is_ok()),
                arrived = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.arrived(arrived)?;
                }
            }
        }
    }

    /// Cuts `rest` at guessed keys and puts the stretches in front of all others.
    fn cut(&mut self, rest: Stretch) {
        let room = WIDTH.saturating_sub(self.slots.len());
        let guesses = match &self.span {
            Some((first, last)) if room > 1 && rest.token.is_none() => {
                let shift = |key: &Key| *key > rest.after && rest.until.as_ref().is_none_or(|until| key < until);
                ahead(first, last, self.stride, room - 1).into_iter().filter(shift).collect()
            }
            _ => Vec::new(),
        };
        let mut stretches = Vec::with_capacity(guesses.len() + 1);
        let mut after = rest.after;
        for guess in guesses {
            stretches.push(Stretch { after, until: Some(guess.clone()), token: None });
            after = guess;
        }
        let last = Stretch { after, until: rest.until, token: rest.token };
        // Nobody knows how much the open end holds: it is listed when its turn comes.
        let mut slots: Vec<Slot> = stretches.into_iter().map(|stretch| self.ask(stretch)).collect();
        slots.push(if last.until.is_some() { self.ask(last) } else { Slot::Waiting(last) });
        for slot in slots.into_iter().rev() {
            self.slots.push_front(slot);
        }
    }

    fn ask(&mut self, stretch: Stretch) -> Slot {
        self.asked_count += 1;
        let (number, store, errand) = (self.asked_count, self.store, self.errand);
        self.in_flight.push(Box::pin(async move { (number, list(store, stretch, errand).await) }));
        Slot::Asked(number)
    }

    fn arrived(&mut self, arrived: Option<(u64, Result<Got, Error>)>) -> Result<(), Error> {
        if let Some((number, got)) = arrived {
            let is_it = |slot: &&mut Slot| matches!(slot, Slot::Asked(asked) if *asked == number);
            if let Some(slot) = self.slots.iter_mut().find(is_it) {
                *slot = Slot::Got(got?);
            }
        }
        Ok(())
    }
}

/// The first page of `stretch` that holds something.
async fn list(store: &Store, stretch: Stretch, errand: &Errand) -> Result<Got, Error> {
    let Stretch { after, until, token } = stretch;
    let mut from = token.map_or_else(|| From::Key(after.clone()), From::Token);
    for _ in 0..EMPTY_PAGES_MAX {
        let mut page = next_page(store, Some(&after), from, errand).await?;
        let mut entries = std::mem::take(&mut page.entries);
        let (listed, next) = (entries.last().map(|last| last.key.clone()), page.next());
        let inside = entries.partition_point(|entry| until.as_ref().is_none_or(|until| entry.key <= *until));
        let is_past = inside < entries.len();
        entries.truncate(inside);
        from = match (listed, next) {
            (Some(after), Some(next)) if !is_past => {
                // A key that cannot be sent is no place to begin at; the store's own word is.
                let token = match next {
                    From::Token(token) if after.as_str().is_none() => Some(token),
                    _ => None,
                };
                return Ok(Got { entries, rest: Some(Stretch { after, until, token }) });
            }
            (None, Some(next)) => next,
            _ => return Ok(Got { entries, rest: None }),
        };
    }
    let what = format!("{EMPTY_PAGES_MAX} empty pages in a row, each of which promises more");
    Err(Error::ListingBroken { place: store.place(), what })
}
