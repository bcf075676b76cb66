use super::*;
use crate::testing::SeededEntropy;

#[tokio::test]
async fn turns_of_one_key_follow_each_other_and_leave_nothing() {
    let turns = Arc::new(Turns::default());
    let key = (ProfileId::generate(&SeededEntropy::new(1)), [1; 32]);
    let first = turns.take(key.clone()).await;
    let other = turns.take((key.0.clone(), [2; 32])).await;
    let second = tokio::spawn({
        let (turns, key) = (turns.clone(), key.clone());
        async move {
            let turn = turns.take(key).await;
            drop(turn);
        }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    drop((first, other));
    second.await.expect("its turn comes");
    assert!(turns.0.is_empty());
}
