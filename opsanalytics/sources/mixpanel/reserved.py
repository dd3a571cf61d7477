"""Properties that Mixpanel and its libraries add for themselves.

Source: Mixpanel's pages on reserved and on default properties. They stay in `properties`; what the
product sends is the rest.
"""

RESERVED = frozenset(
    {
        "time", "$time", "distinct_id", "$distinct_id", "$device_id", "$user_id", "$insert_id",
        "$event_name", "$identified_id", "$anon_id", "alias", "$distinct_ids",
        "$distinct_id_before_identity", "$is_reshuffled", "$preshuffle_distinct_id", "$failure_reason",
        "$failure_description", "$identity_failure_reason", "$ignore", "$bucket", "token", "ip",
        "mp_original_distinct_id", "mp_original_event_name", "$import", "$source", "$mp_api_endpoint",
        "$mp_api_timestamp_ms", "mp_processing_time_ms", "$mp_event_size", "$city", "$region",
        "mp_country_code", "mp_lib", "$lib_version", "$duration_s", "$event_count", "$origin_start",
        "$origin_end", "$warehouse_*",
        "$insert_id\ufffd",
    }
)  # fmt: skip
"""Names; one that ends in `*` stands for all that begin so. The last is a damaged one that occurs."""
