//! The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1) over the entries of a ledger.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 of a leaf or of a node.
pub(crate) type Hash = [u8; 32];

/// The hash of a leaf with this content.
pub(crate) fn leaf_hash(content: &[u8]) -> Hash {
    hash(&[&[0], content])
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

/// SHA-256 of these, one after the other.
pub(crate) fn hash(parts: &[&[u8]]) -> Hash {
    let mut digest = Context::new(&SHA256);
    parts.iter().for_each(|part| digest.update(part));
    let mut hash = Hash::default();
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

/// A tree that can grow: the roots of the full trees that it is made of, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    full: Vec<Hash>,
}

impl Tree {
    /// The tree over these leaves.
    pub(crate) fn over(leaves: &[Hash]) -> Self {
        let mut tree = Self::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    /// The tree of so many leaves that is made of these full trees; `None` of any other number of them.
    pub(crate) fn resumed(size: u64, full: Vec<Hash>) -> Option<Self> {
        let fits = usize::try_from(size.count_ones()).is_ok_and(|count| count == full.len());
        fits.then_some(Self { size, full })
    }

    /// The roots of the full trees that it is made of, the largest first.
    pub(crate) fn full(&self) -> &[Hash] {
        &self.full
    }

    /// The number of its leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // As many full trees of equal size are joined as there are ones at the end of the size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.full.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.full.push(hash);
        self.size += 1;
    }

    /// The root; of no leaves the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut full = self.full.iter().rev();
        let Some(last) = full.next() else { return hash(&[]) };
        full.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The leaves of a tree from some number on, and the tree over those before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaves {
    before: Tree,
    known: Vec<Hash>,
}

impl Leaves {
    pub(crate) fn new(before: Tree, known: Vec<Hash>) -> Self {
        Self { before, known }
    }

    /// The root of the tree over the first so many; `None` of more than there are, or of fewer than
    /// are before those that are known.
    pub(crate) fn root_of(&self, size: u64) -> Option<Hash> {
        let known = self.known(self.before.size, size)?;
        let mut tree = self.before.clone();
        known.iter().for_each(|leaf| tree.push(*leaf));
        Some(tree.root())
    }

    fn known(&self, from: u64, to: u64) -> Option<&[Hash]> {
        let index = |number: u64| usize::try_from(number.checked_sub(self.before.size)?).ok();
        self.known.get(index(from)?..index(to)?)
    }

    /// The root of the tree over these, which stand in the tree as a tree of their own.
    fn root(&self, from: u64, to: u64) -> Option<Hash> {
        if from >= self.before.size {
            return Some(Tree::over(self.known(from, to)?).root());
        }
        if let Some(full) = self.full_before(from, to) {
            return Some(full);
        }
        let middle = from + largest_power_below(to - from);
        // Of one leaf before those that are known there is nothing to be put together.
        let is_made_of_parts = to - from > 1 && to > self.before.size;
        let (left, right) = (from..middle, middle..to);
        is_made_of_parts.then_some(())?;
        Some(node_hash(&self.root(left.start, left.end)?, &self.root(right.start, right.end)?))
    }

    /// The full tree before those that are known that is over just these.
    fn full_before(&self, from: u64, to: u64) -> Option<Hash> {
        let mut start = 0;
        for (bit, root) in bits_of(self.before.size).zip(&self.before.full) {
            let end = start + bit;
            if (start, end) == (from, to) {
                return Some(*root);
            }
            start = end;
        }
        None
    }

    /// How a leaf leads to the root of the tree over the first `size`: the hashes beside its way up
    /// (RFC 9162 section 2.1.3.1). `None` when it is not among those that are known.
    pub(crate) fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        self.known(index, index + 1)?;
        let (mut from, mut to, mut proof) = (0, size, Vec::new());
        if index >= size {
            return None;
        }
        while to - from > 1 {
            let middle = from + largest_power_below(to - from);
            if index < middle {
                proof.push(self.root(middle, to)?);
                to = middle;
            } else {
                proof.push(self.root(from, middle)?);
                from = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// How the tree over the first `earlier` leads to the tree over the first `size` (RFC 9162
    /// section 2.1.4.1). `None` when it is empty, larger, or of leaves that are not known.
    pub(crate) fn consistency_proof(&self, earlier: u64, size: u64) -> Option<Vec<Hash>> {
        if earlier == 0 || earlier > size {
            return None;
        }
        let (mut from, mut to, mut proof, mut is_whole) = (0, size, Vec::new(), true);
        while earlier < to {
            let middle = from + largest_power_below(to - from);
            if earlier <= middle {
                proof.push(self.root(middle, to)?);
                to = middle;
            } else {
                proof.push(self.root(from, middle)?);
                from = middle;
                is_whole = false;
            }
        }
        if !is_whole {
            proof.push(self.root(from, to)?);
        }
        proof.reverse();
        Some(proof)
    }
}

/// The powers of two that a number is made of, the largest first.
fn bits_of(number: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).rev().map(|bit| 1 << bit).filter(move |bit| number & bit != 0)
}

/// Whether `proof` leads from a leaf to the root of a tree of this size (RFC 9162 section 2.1.3.2).
pub(crate) fn is_included(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for beside in proof {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(beside, &hash);
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        node /= 2;
        last /= 2;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that a tree of the first size and root has grown to one of the second
/// (RFC 9162 section 2.1.4.2).
pub(crate) fn is_consistent(
    (first_size, first_root): (u64, &Hash),
    (second_size, second_root): (u64, &Hash),
    proof: &[Hash],
) -> bool {
    if first_size == 0 || first_size > second_size {
        return false;
    }
    if first_size == second_size {
        return proof.is_empty() && first_root == second_root;
    }
    let own = [*first_root];
    let path = if first_size.is_power_of_two() { [&own, proof].concat() } else { proof.to_vec() };
    let Some((start, beside)) = path.split_first() else { return false };
    let (mut node, mut last) = (first_size - 1, second_size - 1);
    while node % 2 == 1 {
        node /= 2;
        last /= 2;
    }
    let (mut first, mut second) = (*start, *start);
    for hash in beside {
        if last == 0 {
            return false;
        }
        if node % 2 == 1 || node == last {
            first = node_hash(hash, &first);
            second = node_hash(hash, &second);
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            second = node_hash(&second, hash);
        }
        node /= 2;
        last /= 2;
    }
    last == 0 && first == *first_root && second == *second_root
}

/// Of more than one.
fn largest_power_below(size: u64) -> u64 {
    size.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(number.to_string().as_bytes())).collect()
    }

    /// Of the tree of Certificate Transparency's own tests (RFC 6962, reference implementation).
    #[test]
    fn roots_are_those_of_the_reference() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let hashes: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        for (size, root) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(HEXLOWER.encode(&Tree::over(&hashes[..size]).root()), root, "{size}");
        }
    }

    proptest! {
        #[test]
        fn a_leaf_is_proved_to_be_in_its_tree_and_in_no_other(
            (size, before, index) in (1_usize..200)
                .prop_flat_map(|size| (Just(size), 0..size))
                .prop_flat_map(|(size, before)| (Just(size), Just(before), before..size)),
            more in 0_usize..20,
            broken in any::<prop::sample::Index>(),
        ) {
            let all = self::leaves(size + more);
            let leaves = &all[..size];
            // Of those before some are not known any more.
            let rest = Leaves::new(Tree::over(&all[..before]), all[before..].to_vec());
            let root = Tree::over(leaves).root();
            let (size, index) = (size as u64, index as u64);
            prop_assert_eq!(rest.root_of(size), Some(root));
            prop_assert_eq!(rest.inclusion_proof(size + more as u64, size + more as u64), None);
            let proof = rest.inclusion_proof(index, size).unwrap();
            let leaf = leaves[index as usize];
            prop_assert!(is_included(leaf, index, size, &proof, &root));
            prop_assert!(!is_included(leaf_hash(b"x"), index, size, &proof, &root));
            prop_assert!(!is_included(leaf, index, size, &proof, &leaf_hash(b"x")));
            if !proof.is_empty() {
                let mut other = proof.clone();
                let broken = broken.index(proof.len());
                other[broken][0] ^= 1;
                prop_assert!(!is_included(leaf, index, size, &other, &root));
                prop_assert!(!is_included(leaf, index, size, &proof[1..], &root));
            }
            if size > 1 {
                prop_assert!(!is_included(leaf, (index + 1) % size, size, &proof, &root));
            }
        }

        #[test]
        fn a_tree_is_proved_to_have_grown(
            (second, first, before) in (1_usize..200)
                .prop_flat_map(|size| (Just(size), 1..=size))
                .prop_flat_map(|(size, first)| (Just(size), Just(first), 0..=first)),
        ) {
            let leaves = leaves(second);
            let rest = Leaves::new(Tree::over(&leaves[..before]), leaves[before..].to_vec());
            let (before, after) = (Tree::over(&leaves[..first]).root(), Tree::over(&leaves).root());
            let (first, second) = (first as u64, second as u64);
            let proof = rest.consistency_proof(first, second).unwrap();
            prop_assert!(is_consistent((first, &before), (second, &after), &proof));
            let other = leaf_hash(b"x");
            prop_assert!(!is_consistent((first, &other), (second, &after), &proof));
            prop_assert!(!is_consistent((first, &before), (second, &other), &proof));
        }
    }
}
