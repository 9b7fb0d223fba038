//! Who owns which page of the KV cache, and which pages can be used again.
//!
//! A page of [`model::PAGE_SIZE`] slots is blank, or held by one or more sequences, or idle: held by nobody, but still
//! filled with a known prefix. A full page is *registered* under the page before it, its 64 tokens and the digests of
//! what stands in their place (images); a later sequence that begins with the same shares it instead of computing it again. Keys are compared in full, never by a hash
//! alone, and an identity is never used twice: a shared page holds exactly the rows the sequence would have computed.
//!
//! It knows no sequences and no memory: pages are numbers.

use crate::random::permutation;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// In which order blank pages are handed out. Results never depend on it; tests shuffle to prove that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrder {
    /// 0, 1, 2, ...
    Sequential,
    /// A permutation that depends on this seed.
    Shuffled(u64),
}

/// The identity of a registered prefix: everything from the first token to the end of some page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PrefixId(u64);

impl PrefixId {
    /// The empty prefix.
    pub(crate) const EMPTY: PrefixId = PrefixId(0);
}

/// Which embedding rows a page holds in the place of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageRows {
    /// The first slot of the page that they fill.
    pub(crate) slot: usize,
    /// How many.
    pub(crate) count: usize,
    /// What they were computed from.
    pub(crate) digest: [u8; 32],
    /// Which of the rows computed from that is the first.
    pub(crate) first_row: usize,
}

/// What a full page is computed from, besides the pages before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageContent {
    /// One id a slot.
    pub(crate) tokens: Arc<[u32]>,
    /// The embedding rows that stand in the place of some of them.
    pub(crate) rows: Arc<[PageRows]>,
}

/// What a full page holds: the prefix before it, and its own content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PrefixKey {
    parent: PrefixId,
    content: PageContent,
}

/// One page of the pool.
#[derive(Debug, Default)]
struct Page {
    /// Sequences that hold it.
    num_holders: usize,
    /// What it is known to contain.
    prefix: Option<(PrefixKey, PrefixId)>,
    /// When it became idle: its key in `idle`.
    idle_since: u64,
}

/// A prefix found in the cache, held by the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SharedPrefix {
    /// Its pages, in order.
    pub(crate) pages: Vec<u32>,
    /// Its identity, under which the next page is registered.
    pub(crate) id: PrefixId,
}

/// All pages of the cache.
#[derive(Debug)]
pub(crate) struct PagePool {
    pages: Vec<Page>,
    /// Pages that hold nothing known; the last is handed out first.
    blank: Vec<u32>,
    /// Pages that nobody holds and that hold a known prefix, by the time since when: the first is given up first.
    idle: BTreeMap<u64, u32>,
    prefixes: HashMap<PrefixKey, u32>,
    clock: u64,
    last_prefix: u64,
}

impl PagePool {
    pub(crate) fn new(num_pages: u32, order: PageOrder) -> Self {
        let mut blank = match order {
            PageOrder::Sequential => (0..num_pages).collect(),
            PageOrder::Shuffled(seed) => permutation(num_pages, seed),
        };
        blank.reverse();
        Self {
            pages: blank.iter().map(|_| Page::default()).collect(),
            blank,
            idle: BTreeMap::new(),
            prefixes: HashMap::new(),
            clock: 0,
            last_prefix: 0,
        }
    }

    /// Pages that can be handed out now: blank ones and idle ones.
    pub(crate) fn num_free(&self) -> usize {
        self.blank.len() + self.idle.len()
    }

    /// Hands out one page, giving up what the longest idle one holds if none is blank.
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let index = match self.blank.pop() {
            Some(index) => index,
            None => {
                let (_, index) = self.idle.pop_first()?;
                if let Some((key, _)) = self.pages[index as usize].prefix.take() {
                    self.prefixes.remove(&key);
                }
                index
            }
        };
        self.pages[index as usize].num_holders = 1;
        Some(index)
    }

    /// Takes back one holder's pages. The end of a prefix is given up before its beginning.
    pub(crate) fn release(&mut self, pages: Vec<u32>) {
        for index in pages.into_iter().rev() {
            let page = &mut self.pages[index as usize];
            assert!(
                page.num_holders > 0,
                "page {index} is released but held by nobody"
            );
            page.num_holders -= 1;
            if page.num_holders > 0 {
                continue;
            }
            if page.prefix.is_some() {
                self.clock += 1;
                page.idle_since = self.clock;
                self.idle.insert(self.clock, index);
            } else {
                self.blank.push(index);
            }
        }
    }

    /// Finds and holds the longest registered prefix made of pages with the given content.
    pub(crate) fn share(&mut self, pages: impl Iterator<Item = PageContent>) -> SharedPrefix {
        let mut found = SharedPrefix {
            pages: Vec::new(),
            id: PrefixId::EMPTY,
        };
        for content in pages {
            let key = PrefixKey {
                parent: found.id,
                content,
            };
            let Some(&index) = self.prefixes.get(&key) else {
                break;
            };
            let page = &mut self.pages[index as usize];
            let Some((_, id)) = &page.prefix else {
                break;
            };
            found.id = *id;
            if page.num_holders == 0 {
                self.idle.remove(&page.idle_since);
            }
            page.num_holders += 1;
            found.pages.push(index);
        }
        found
    }

    /// Notes that a held page is full of this, after that prefix, so that it can be shared. If another page holds the
    /// same already, that one stays the shared one. Returns the identity of the prefix up to here.
    pub(crate) fn register(
        &mut self,
        index: u32,
        parent: PrefixId,
        content: PageContent,
    ) -> PrefixId {
        let key = PrefixKey { parent, content };
        if let Some(&same) = self.prefixes.get(&key)
            && let Some((_, id)) = &self.pages[same as usize].prefix
        {
            return *id;
        }
        let page = &mut self.pages[index as usize];
        assert!(
            page.num_holders > 0,
            "page {index} is registered but held by nobody"
        );
        assert!(page.prefix.is_none(), "page {index} is registered twice");
        self.last_prefix += 1;
        let id = PrefixId(self.last_prefix);
        page.prefix = Some((key.clone(), id));
        self.prefixes.insert(key, index);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A page of one token.
    fn page(token: &u32) -> PageContent {
        PageContent {
            tokens: [*token].into(),
            rows: [].into(),
        }
    }

    /// Every page is in exactly one place, and the tables agree with each other.
    fn check(pool: &PagePool, held: &[Vec<u32>]) {
        let mut places = vec![0usize; pool.pages.len()];
        for &index in pool.blank.iter().chain(pool.idle.values()) {
            places[index as usize] += 1;
            assert_eq!(pool.pages[index as usize].num_holders, 0);
        }
        for (index, page) in pool.pages.iter().enumerate() {
            let holders = held
                .iter()
                .flatten()
                .filter(|&&p| p as usize == index)
                .count();
            assert_eq!(holders, page.num_holders, "holders of page {index}");
            assert_eq!(
                places[index] + usize::from(holders > 0),
                1,
                "places of page {index}"
            );
            if let Some((key, _)) = &page.prefix {
                assert_eq!(pool.prefixes.get(key), Some(&(index as u32)));
            }
        }
        for index in &pool.blank {
            assert!(pool.pages[*index as usize].prefix.is_none());
        }
        for (stamp, &index) in &pool.idle {
            assert_eq!(pool.pages[index as usize].idle_since, *stamp);
            assert!(pool.pages[index as usize].prefix.is_some());
        }
        assert_eq!(
            pool.prefixes.len(),
            pool.pages.iter().filter(|p| p.prefix.is_some()).count()
        );
    }

    proptest! {
        /// The pool never loses or doubles a page, and what it shares is what was registered.
        #[test]
        fn no_page_is_lost_or_doubled(
            num_pages in 1u32..12,
            shuffle in any::<Option<u64>>(),
            ops in prop::collection::vec((0u8..3, 0usize..8, prop::collection::vec(0u32..3, 1..6)), 1..120),
        ) {
            let order = shuffle.map_or(PageOrder::Sequential, PageOrder::Shuffled);
            let mut pool = PagePool::new(num_pages, order);
            // Sequences of one-token pages, and what each page was last filled with: its whole prefix.
            let mut held: Vec<Vec<u32>> = Vec::new();
            let mut contents = vec![Vec::new(); num_pages as usize];
            for (op, which, tokens) in ops {
                match op {
                    0 => {
                        let SharedPrefix { mut pages, mut id } = pool.share(tokens.iter().map(page));
                        for (i, &index) in pages.iter().enumerate() {
                            prop_assert_eq!(&contents[index as usize], &tokens[..=i]);
                        }
                        for i in pages.len()..tokens.len() {
                            let free = pool.num_free();
                            let Some(index) = pool.allocate() else {
                                prop_assert_eq!(free, 0);
                                break;
                            };
                            prop_assert_eq!(pool.num_free(), free - 1);
                            contents[index as usize] = tokens[..=i].to_vec();
                            id = pool.register(index, id, page(&tokens[i]));
                            pages.push(index);
                        }
                        held.push(pages);
                    }
                    1 if which < held.len() => pool.release(held.swap_remove(which)),
                    _ => {
                        if let Some(page) = pool.allocate() {
                            contents[page as usize] = vec![u32::MAX];
                            held.push(vec![page]);
                        }
                    }
                }
                check(&pool, &held);
            }
            for pages in held.drain(..) {
                pool.release(pages);
            }
            check(&pool, &held);
            prop_assert_eq!(pool.num_free(), num_pages as usize);
        }
    }

    #[test]
    fn orders_are_kept() {
        let take = |order| {
            let mut pool = PagePool::new(100, order);
            std::iter::from_fn(|| pool.allocate()).collect::<Vec<_>>()
        };
        assert_eq!(take(PageOrder::Sequential), (0..100).collect::<Vec<_>>());
        let mut shuffled = take(PageOrder::Shuffled(1));
        assert_eq!(shuffled, take(PageOrder::Shuffled(1)));
        assert_ne!(shuffled, take(PageOrder::Shuffled(2)));
        shuffled.sort_unstable();
        assert_eq!(shuffled, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_idle_end_of_a_prefix_goes_first() {
        let mut pool = PagePool::new(3, PageOrder::Sequential);
        let mut id = PrefixId::EMPTY;
        let pages: Vec<u32> = (0..3)
            .map(|token| {
                let index = pool.allocate().unwrap();
                id = pool.register(index, id, page(&token));
                index
            })
            .collect();
        pool.release(pages.clone());
        assert_eq!(pool.allocate(), Some(pages[2]));
        assert_eq!(pool.share([0, 1, 2].iter().map(page)).pages, &pages[..2]);
        assert_eq!(pool.num_free(), 0);
    }
}
