//! A queue whose keys take turns (WP-3).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// First in, first out for each key; the keys in rotation.
pub(super) struct FairQueue<K, T> {
    rotation: VecDeque<K>,
    waiting: HashMap<K, VecDeque<T>>,
    length: usize,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { rotation: VecDeque::new(), waiting: HashMap::new(), length: 0 }
    }
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.waiting.contains_key(key)
    }

    /// The keys with what waits for each, the one whose turn it is first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &VecDeque<T>)> {
        self.rotation.iter().filter_map(|key| Some((key, self.waiting.get(key)?)))
    }

    pub(super) fn push(&mut self, key: K, item: T) {
        self.length += 1;
        let of_key = self.waiting.entry(key.clone()).or_default();
        if of_key.is_empty() {
            self.rotation.push_back(key);
        }
        of_key.push_back(item);
    }

    /// Takes the first item of the first key for which `ready` says with what it can go on. That key's turn comes again
    /// after all others'; those passed over keep their place.
    pub(super) fn take_first<R>(&mut self, mut ready: impl FnMut(&K) -> Option<R>) -> Option<(K, T, R)> {
        let (position, with) =
            self.rotation.iter().enumerate().find_map(|(position, key)| ready(key).map(|with| (position, with)))?;
        let key = self.rotation.remove(position)?;
        let of_key = self.waiting.get_mut(&key)?;
        let item = of_key.pop_front()?;
        self.length -= 1;
        if of_key.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.rotation.push_back(key.clone());
        }
        Some((key, item, with))
    }

    /// Ends the turn of `key`, if it waits.
    pub(super) fn move_to_back(&mut self, key: &K) {
        if let Some(key) = self.rotation.iter().position(|at| at == key).and_then(|at| self.rotation.remove(at)) {
            self.rotation.push_back(key);
        }
    }

    /// Drops the items that `keep` says no to.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for items in self.waiting.values_mut() {
            items.retain(&mut keep);
        }
        self.waiting.retain(|_, items| !items.is_empty());
        self.rotation.retain(|key| self.waiting.contains_key(key));
        self.length = self.waiting.values().map(VecDeque::len).sum();
    }

    /// Takes out all that waits for the keys that `of` says yes to.
    pub(super) fn drain(&mut self, mut of: impl FnMut(&K) -> bool) -> Vec<T> {
        let (out, kept) = self.rotation.drain(..).partition(|key| of(key));
        self.rotation = kept;
        let drained: Vec<T> = out.iter().filter_map(|key| self.waiting.remove(key)).flatten().collect();
        self.length -= drained.len();
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(queue: &mut FairQueue<char, u32>) -> Option<(char, u32)> {
        queue.take_first(|_| Some(())).map(|(key, item, ())| (key, item))
    }

    #[test]
    fn keys_take_turns_and_items_of_one_keep_their_order() {
        let mut queue = FairQueue::default();
        for item in 1..=3 {
            queue.push('a', item);
        }
        queue.push('b', 10);
        let order: Vec<_> = std::iter::from_fn(|| take(&mut queue)).collect();
        assert_eq!(order, [('a', 1), ('b', 10), ('a', 2), ('a', 3)]);
        assert!(queue.is_empty() && queue.iter().next().is_none());
    }

    #[test]
    fn a_key_that_can_not_go_on_is_passed_over_and_keeps_its_place() {
        let mut queue = FairQueue::default();
        queue.push('a', 1);
        queue.push('b', 10);
        let taken = queue.take_first(|&key| (key == 'b').then_some(()));
        assert_eq!(taken, Some(('b', 10, ())));
        assert_eq!(queue.iter().next().map(|(key, _)| key), Some(&'a'));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_is_not_kept_leaves_no_trace() {
        let mut queue = FairQueue::default();
        queue.push('a', 1);
        queue.push('b', 2);
        queue.push('b', 3);
        queue.retain(|&item| item == 3);
        assert_eq!(queue.len(), 1);
        assert_eq!(take(&mut queue), Some(('b', 3)));
        assert_eq!(take(&mut queue), None);
    }

    #[test]
    fn draining_some_keys_leaves_the_others_in_their_order() {
        let mut queue = FairQueue::default();
        for (key, item) in [('a', 1), ('b', 10), ('c', 20), ('b', 11)] {
            queue.push(key, item);
        }
        assert_eq!(queue.drain(|&key| key == 'b'), [10, 11]);
        assert_eq!((queue.len(), queue.has(&'b')), (2, false));
        assert_eq!([take(&mut queue), take(&mut queue)], [Some(('a', 1)), Some(('c', 20))]);
    }
}
