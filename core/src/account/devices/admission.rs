//! A device of the account brings another one in (`auth::enrolment`).

use super::{Account, DevicesError};
use crate::auth::enrolment::Enrolled;
use crate::auth::{DeviceListError, ListedDevice, SignedDeviceList, Ways};
use crate::id::Timestamp;
use crate::store::Store;

impl<S: Store> Account<S> {
    /// The list with this device in it, to be put: its user has typed the newcomer's words. It is
    /// what is shown if that has the newcomer already.
    pub async fn admit_device(
        &self,
        shown: Option<&[u8]>,
        newcomer: ListedDevice,
        now: Timestamp,
    ) -> Result<SignedDeviceList, DevicesError> {
        let current = self.current_list(shown, now).await?;
        let current = current.ok_or(DeviceListError::Missing)?;
        self.enter(&current, &Ways::default(), now).await?;
        match current.list().with(newcomer)? {
            Some(next) => self.sign(&next),
            None => Ok(current),
        }
    }

    /// Takes the list that the provider shows a device that another one has enrolled: the first that
    /// it sees is none from before that.
    pub async fn enrolled(
        &self,
        shown: Option<&[u8]>,
        enrolled: &Enrolled,
        now: Timestamp,
    ) -> Result<(), DevicesError> {
        let list = enrolled.judge_list(self.keys(), shown)?;
        self.enter(&list, &Ways::default(), now).await?;
        Ok(self.keep_device_list(&list, now).await?)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::super::tests::{NOW, account, device_of, warnings};
    use super::*;
    use crate::account::begin_enrolled;
    use crate::auth::enrolment::{Newcomer, Sponsor};
    use crate::auth::{EnrolmentCode, EnrolmentError, SealingSecret};
    use crate::store::{MemoryStore, StoreError};

    /// What a newcomer of this account has in the end, and the list with it.
    async fn enrol(
        sponsor: &Account<MemoryStore>,
        shown: &SignedDeviceList,
    ) -> (Enrolled, SignedDeviceList) {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let newcomer = Newcomer::start("phone", NOW, &mut rng);
        let code = EnrolmentCode::parse(&newcomer.code().text()).unwrap();
        let (greeting, hello) = Sponsor::start(code, sponsor.address(), NOW, &mut rng).unwrap();
        let (opened, opening) = newcomer.handle_hello(&hello, NOW, &mut rng).unwrap();
        let mut comparing = greeting.handle_opening(&opening, NOW).unwrap();
        let agreed = comparing.compare(&opened.words(), NOW).unwrap();
        let admitted = sponsor.admit_device(Some(shown.octets()), agreed.listed(NOW), NOW);
        let list = admitted.await.unwrap();
        // Asked again, because nobody heard the provider's answer, it is the same.
        let again = sponsor.admit_device(Some(list.octets()), agreed.listed(NOW), NOW);
        assert_eq!(again.await.unwrap(), list);
        let handover = agreed.hand_over(sponsor.keys(), &list, &mut rng).unwrap();
        let enrolled = opened.confirm().handle_handover(&handover, NOW).unwrap();
        (enrolled, list)
    }

    #[test]
    fn a_device_that_another_one_enrols_has_the_keys_of_all_epochs() {
        block_on(async {
            let (one, gone) = (account(1).await, account(2).await);
            let password = Ways::password(SealingSecret::derive(b"password", b"test"));
            let bridge = device_of(&one, "bridge");
            let list = one.first_devices(&bridge, &password, NOW).await.unwrap();
            let browser = device_of(&gone, "browser");
            let joined = gone.join_devices(Some(list.octets()), &browser, &password, NOW);
            let list = joined.await.unwrap().unwrap();
            let removal = one
                .remove_device(Some(list.octets()), gone.id(), false, NOW)
                .await
                .unwrap()
                .unwrap();
            let before = removal.list.clone();
            one.device_removed(removal, NOW).await.unwrap();
            let (enrolled, list) = enrol(&one, &before).await;
            assert_eq!(list.list().number(), before.list().number() + 1);
            let store = MemoryStore::new();
            begin_enrolled(&store, enrolled.device.id, &enrolled.key)
                .await
                .unwrap();
            let twice = begin_enrolled(&store, enrolled.device.id, &enrolled.key).await;
            assert!(matches!(twice, Err(StoreError::Conflict)));
            let (address, keys) = (enrolled.address.clone(), enrolled.keys());
            let phone = Account::open(store, address, keys, [7; 32], NOW).await;
            let phone = phone.unwrap();
            assert_eq!(phone.id(), enrolled.device.id);
            let key = phone.device_key(NOW).await.unwrap();
            assert_eq!(key.public_key(), enrolled.key.public_key());
            let old = phone.enrolled(Some(before.octets()), &enrolled, NOW).await;
            let refused = EnrolmentError::OldList;
            assert!(matches!(old, Err(DevicesError::Enrolment(error)) if error == refused));
            assert_eq!(phone.keys().epoch(), 1);
            phone
                .enrolled(Some(list.octets()), &enrolled, NOW)
                .await
                .unwrap();
            assert_eq!(phone.keys().epoch(), 2);
            let newest = |of: &Account<MemoryStore>| *of.keys().roots()[1].octets();
            assert_eq!(newest(&phone), newest(&one));
            assert!(phone.devices_state().await.unwrap().joined);
            // It need not prove a password, and nothing is wrong.
            let check = phone.check_devices(Some(list.octets()), &[], NOW).await;
            assert_eq!(check.unwrap(), super::super::DevicesCheck::default());
            assert!(!phone.lacks_keys(Some(list.octets()), NOW).await.unwrap());
            assert_eq!(warnings(&one), 0);
        });
    }

    #[test]
    fn without_a_signed_list_nobody_is_admitted() {
        block_on(async {
            let one = account(1).await;
            let listed = one.listed(&device_of(&one, "phone"), NOW).await.unwrap();
            let admitted = one.admit_device(None, listed, NOW).await;
            let missing = DeviceListError::Missing;
            assert!(matches!(admitted, Err(DevicesError::List(error)) if error == missing));
        });
    }
}
