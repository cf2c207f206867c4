use std::sync::{Mutex, OnceLock, PoisonError};

use aws_types::SdkConfig;
use dynoxide::Database;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::loopback::{listen, runtime};
use crate::template::table_definition;

/// DynamoDB in this process, one for all tests, in memory.
pub struct Emulator {
    database: Database,
    endpoint: String,
}

/// A table of the template under a name of its own: no two tests share rows.
#[derive(Debug)]
pub struct TestTable {
    name: String,
    stream_arn: String,
    /// Where the next read of the stream continues.
    iterator: Mutex<String>,
}

impl Emulator {
    /// Configuration for clients of the emulator, which starts at first use.
    pub fn sdk_config() -> SdkConfig {
        crate::sdk_config(&Self::get().endpoint)
    }

    /// Answers one call as the server does, without a connection: its status and its body.
    pub fn call(operation: &str, request: &[u8]) -> (u16, String) {
        let database = &Self::get().database;
        let answer = match operation {
            "BatchGetItem" => answer(request, |request| database.batch_get_item(request)),
            "DeleteItem" => answer(request, |request| database.delete_item(request)),
            "GetItem" => answer(request, |request| database.get_item(request)),
            "PutItem" => answer(request, |request| database.put_item(request)),
            "Query" => answer(request, |request| database.query(request)),
            "TransactWriteItems" => answer(request, |request| database.transact_write_items(request)),
            "UpdateItem" => answer(request, |request| database.update_item(request)),
            other => panic!("nobody has called {other} so far"),
        };
        answer.map_or_else(|error| (error.status_code(), error.to_json()), |answer| (200, answer))
    }

    fn get() -> &'static Self {
        static EMULATOR: OnceLock<Emulator> = OnceLock::new();
        EMULATOR.get_or_init(|| {
            let database = Database::memory().expect("an empty database in memory");
            let (listener, endpoint) = listen();
            runtime().spawn(dynoxide::server::serve_on(listener, database.clone()));
            Self { database, endpoint }
        })
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    request: &[u8],
    operation: impl FnOnce(Q) -> dynoxide::errors::Result<A>,
) -> dynoxide::errors::Result<String> {
    let request = serde_json::from_slice(request).expect("a request of an SDK");
    Ok(serde_json::to_string(&operation(request)?).expect("an answer is JSON"))
}

impl TestTable {
    /// An empty table as user-service has it.
    pub fn users() -> Self {
        Self::create("UserTable")
    }

    /// An empty table as product-service has it.
    pub fn products() -> Self {
        Self::create("ProductTable")
    }

    /// An empty table as order-service has it.
    pub fn orders() -> Self {
        Self::create("OrderTable")
    }

    fn create(resource: &str) -> Self {
        let name = format!("{resource}-{}", uuid::Uuid::now_v7());
        let mut definition = table_definition(resource);
        definition["TableName"] = name.as_str().into();
        let request = serde_json::from_value(definition).expect("a table definition");
        let database = &Emulator::get().database;
        database.create_table(request).unwrap_or_else(|error| panic!("{resource}: {error:?}"));

        let streams = ListStreamsRequest { table_name: Some(name.clone()), ..Default::default() };
        let streams = database.list_streams(streams).expect("the list of streams").streams;
        let stream_arn = streams.into_iter().next().expect("the table's stream").stream_arn;
        let stream = DescribeStreamRequest { stream_arn: stream_arn.clone(), ..Default::default() };
        let shards = database.describe_stream(stream).expect("the table's stream").stream_description.shards;
        let start = GetShardIteratorRequest {
            stream_arn: stream_arn.clone(),
            shard_id: shards.into_iter().next().expect("the stream's only shard").shard_id,
            shard_iterator_type: "TRIM_HORIZON".to_owned(),
            sequence_number: None,
        };
        let iterator = database.get_shard_iterator(start).expect("the start of the stream").shard_iterator;
        Self { name, stream_arn, iterator: Mutex::new(iterator.unwrap_or_default()) }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The changes since the last call, oldest first, as Lambda would hand them over: records for
    /// [`door::stream`](crate::door::stream).
    pub fn new_stream_records(&self) -> Vec<Value> {
        let mut iterator = self.iterator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        loop {
            let request = GetRecordsRequest { shard_iterator: iterator.clone(), limit: None };
            let answer = Emulator::get().database.get_records(request).expect("records of the stream");
            *iterator = answer.next_shard_iterator.expect("an open shard");
            if answer.records.is_empty() {
                return records;
            }
            records.extend(answer.records.iter().map(|record| {
                let mut record = serde_json::to_value(record).expect("a record is JSON");
                // Lambda adds the stream's name to what the stream says; the region is that of the clients.
                record["eventSourceARN"] = self.stream_arn.replace("dynoxide", "us-east-1").into();
                record["awsRegion"] = "us-east-1".into();
                record
            }));
        }
    }
}
