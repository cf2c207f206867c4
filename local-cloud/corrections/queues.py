"""Messages of a queue on their way to a function."""

from ministack.services import lambda_svc, sqs


def filtered_messages() -> None:
    """Upstream deletes what a mapping's filter leaves out of a batch together with what it lets through, so that it
    comes back, and ends in the dead-letter queue, where the function fails; AWS deletes it at once."""
    run = lambda_svc._run_sqs_batch

    def run_filtered(mapping, function, event, batch, url, queue):
        wanted = {record["receiptHandle"] for record in event["Records"]}
        sqs._delete_messages_for_esm(url, {message["receipt_handle"] for message in batch} - wanted)
        left = [message for message in batch if message["receipt_handle"] in wanted]
        return run(mapping, function, event, left, url, queue)

    lambda_svc._run_sqs_batch = run_filtered
