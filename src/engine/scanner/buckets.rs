//! The order of anchors in which the packed search errs least.
//!
//! The packed search (Teddy) puts its texts into eight buckets, in turn; from 33 texts on into sixteen. What it sees
//! of a bucket's texts are, place by place, the upper and the lower halves of their bytes: `EHLO` and `name` in one
//! bucket look like `ehlo` as well, and each such place costs a comparison. So the order of the texts decides how
//! often it stops in vain. That it deals them out in turn is no promise of the crate; were it to change, nothing but
//! time would be lost.

/// Texts up to which there are eight buckets.
const SLIM: usize = 32;

/// The anchors of one bucket and how many places of the sample look like one of them.
#[derive(Clone, Default)]
struct Bucket {
    anchors: Vec<usize>,
    cost: usize,
}

/// The places of `anchors`, all of one length and of four bytes at most, in the order to search for them, judged by `sample`.
pub(super) fn order(anchors: &[Vec<u8>], sample: &[u8]) -> Vec<usize> {
    let count = if anchors.len() > SLIM { 16 } else { 8 };
    let mut halves: Vec<Vec<u8>> = anchors.iter().map(|anchor| halves(anchor, sample)).collect();
    keep_doubtful(&mut halves);
    let cost = |members: &[usize]| look_alikes(&halves, members);
    let mut buckets = vec![Bucket::default(); count];
    for anchor in 0..anchors.len() {
        let with = |(at, bucket): (usize, &Bucket)| {
            let room = anchors.len() / count + usize::from(at < anchors.len() % count);
            let members = [bucket.anchors.as_slice(), &[anchor]].concat();
            (members.len() <= room).then(|| (cost(&members), bucket.cost, at, members))
        };
        let offers = buckets.iter().enumerate().filter_map(with);
        if let Some((cost, _, at, anchors)) = offers.min_by_key(|(new, old, at, m)| (new - old, m.len(), *at))
        {
            buckets.splice(at..=at, [Bucket { anchors, cost }]);
        }
    }
    let alone: Vec<usize> = (0..anchors.len()).map(|anchor| cost(&[anchor])).collect();
    improve(&mut buckets, &alone, &cost);
    let rounds = 0..anchors.len().div_ceil(count);
    rounds.flat_map(|round| buckets.iter().filter_map(move |b| b.anchors.get(round).copied())).collect()
}

/// Exchanges anchors between buckets while that helps, once for each. No bucket costs less than its anchors do `alone`.
fn improve(buckets: &mut [Bucket], alone: &[usize], cost: &impl Fn(&[usize]) -> usize) {
    let excess = |bucket: &Bucket| {
        bucket.cost.saturating_sub(bucket.anchors.iter().filter_map(|anchor| alone.get(*anchor)).sum())
    };
    let places: Vec<(usize, usize)> =
        buckets.iter().enumerate().flat_map(|(at, b)| (0..b.anchors.len()).map(move |i| (at, i))).collect();
    for &(a, i) in &places {
        let exchange = |&(b, j): &(usize, usize)| {
            let (mut one, mut other) = (buckets.get(a)?.clone(), buckets.get(b)?.clone());
            if excess(&one) + excess(&other) == 0 {
                return None;
            }
            let before = one.cost + other.cost;
            std::mem::swap(one.anchors.get_mut(i)?, other.anchors.get_mut(j)?);
            (one.cost, other.cost) = (cost(&one.anchors), cost(&other.anchors));
            let after = one.cost + other.cost;
            (after < before).then(|| (before - after, b, one, other))
        };
        let best = places.iter().filter(|(b, _)| *b != a).filter_map(exchange).max_by_key(|(gain, ..)| *gain);
        if let Some((_, b, one, other)) = best {
            for (at, bucket) in [(a, one), (b, other)] {
                if let Some(slot) = buckets.get_mut(at) {
                    *slot = bucket;
                }
            }
        }
    }
}

/// By place of `sample`: which halves of the bytes there are those of `anchor`, as bits.
fn halves(anchor: &[u8], sample: &[u8]) -> Vec<u8> {
    let missing = u8::MAX.checked_shl(2 * anchor.len() as u32).unwrap_or_default();
    let bits = |window: &[u8]| {
        let byte = |bits, (a, b): (&u8, &u8)| {
            bits << 2 | u8::from(a & 15 == b & 15) | u8::from(a >> 4 == b >> 4) << 1
        };
        missing | anchor.iter().zip(window).fold(0, byte)
    };
    sample.windows(anchor.len().max(1)).map(bits).collect()
}

/// Drops the places of the sample that look like no anchor even if all were in one bucket. Few are left.
fn keep_doubtful(halves: &mut [Vec<u8>]) {
    let mut all = vec![0; halves.first().map_or(0, Vec::len)];
    for bits in halves.iter() {
        all.iter_mut().zip(bits).for_each(|(all, bits)| *all |= bits);
    }
    for bits in halves {
        let mut doubtful = all.iter().map(|all| *all == u8::MAX);
        bits.retain(|_| doubtful.next().unwrap_or(false));
    }
}

/// Places of the sample that look like an anchor of a bucket with these members.
fn look_alikes(halves: &[Vec<u8>], members: &[usize]) -> usize {
    let mut members = members.iter().filter_map(|at| halves.get(*at));
    let mut seen = members.next().cloned().unwrap_or_default();
    for member in members {
        seen.iter_mut().zip(member).for_each(|(seen, bits)| *seen |= bits);
    }
    seen.iter().filter(|bits| **bits == u8::MAX).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_that_are_dropped_look_like_nothing(
            anchors in prop::collection::vec("[a-dA-D]{4}", 1..6),
            sample in "[a-dA-D]{0,60}",
            members in prop::collection::vec(0usize..6, 1..4),
        ) {
            let all: Vec<Vec<u8>> = anchors.iter().map(|a| halves(a.as_bytes(), sample.as_bytes())).collect();
            let mut kept = all.clone();
            keep_doubtful(&mut kept);
            prop_assert_eq!(look_alikes(&kept, &members), look_alikes(&all, &members));
        }
    }

    #[test]
    fn anchors_that_look_like_the_sample_together_come_into_buckets_of_their_own() {
        // Eight buckets: the first and the ninth share one, in the order given.
        let texts = ["EHLO", "0000", "1111", "2222", "3333", "4444", "5555", "6666", "name", "7777"];
        let anchors: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        let sample = b"{\"eel\":\"client\",\"ehlo\":\"client\",\"ehlo\":\"client\"}";
        let halves: Vec<Vec<u8>> = anchors.iter().map(|anchor| halves(anchor, sample)).collect();
        assert_eq!([[0, 8], [0, 1]].map(|members| look_alikes(&halves, &members)), [2, 0]);
        let order = order(&anchors, sample);
        let bucket = |anchor| order.iter().position(|at| *at == anchor).unwrap() % 8;
        assert_ne!(bucket(0), bucket(8), "{order:?}");
    }

    #[test]
    fn every_anchor_comes_once() {
        for count in [1, 7, 8, 27, 40] {
            let anchors: Vec<Vec<u8>> = (0..count).map(|i: u32| format!("{i:04}").into_bytes()).collect();
            let mut order = order(&anchors, b"0001 0010 0022 0100");
            order.sort_unstable();
            assert_eq!(order, (0..anchors.len()).collect::<Vec<_>>());
        }
    }
}
