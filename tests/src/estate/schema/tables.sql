-- The service's other 28 tables and Rails' own two. One column to a line: that is what the generator reads.
CREATE TABLE ar_internal_metadata (
    key character varying NOT NULL,
    value character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE schema_migrations (
    version character varying NOT NULL
);
CREATE TABLE bulk_upload_errors (
    id bigserial NOT NULL,
    bulk_upload_id bigint,
    cell text,
    "row" text,
    tenant_code text,
    property_ref text,
    field text,
    error text,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    purchaser_code text,
    category text
);
CREATE TABLE bulk_uploads (
    id bigserial NOT NULL,
    user_id bigint,
    log_type text NOT NULL,
    year integer NOT NULL,
    identifier uuid NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    filename text,
    needstype integer,
    choice text,
    total_logs_count integer,
    rent_type_fix_status character varying DEFAULT 'not_applied',
    organisation_id bigint,
    moved_user_id integer,
    moved_user_name character varying,
    failure_reason character varying,
    processing boolean
);
CREATE TABLE collection_resources (
    id bigserial NOT NULL,
    log_type character varying,
    resource_type character varying,
    display_name character varying,
    short_display_name character varying,
    year integer,
    download_filename character varying,
    mandatory boolean,
    released_to_user boolean,
    discarded_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE csv_downloads (
    id bigserial NOT NULL,
    download_type character varying,
    filename character varying,
    expiration_time integer,
    user_id bigint NOT NULL,
    organisation_id bigint NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE csv_variable_definitions (
    id bigserial NOT NULL,
    variable character varying NOT NULL,
    definition character varying NOT NULL,
    log_type character varying NOT NULL,
    year integer NOT NULL,
    last_accessed timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE data_protection_confirmations (
    id bigserial NOT NULL,
    organisation_id bigint,
    data_protection_officer_id bigint,
    confirmed boolean,
    old_id character varying,
    old_org_id character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    signed_at timestamp(6) without time zone,
    organisation_name character varying,
    organisation_address character varying,
    organisation_phone_number character varying,
    data_protection_officer_email character varying,
    data_protection_officer_name character varying
);
CREATE TABLE exports (
    id bigserial NOT NULL,
    created_at timestamp(6) without time zone NOT NULL,
    started_at timestamp(6) without time zone NOT NULL,
    base_number integer DEFAULT 1 NOT NULL,
    increment_number integer DEFAULT 1 NOT NULL,
    empty_export boolean DEFAULT false NOT NULL,
    collection character varying,
    year integer
);
CREATE TABLE la_rent_ranges (
    id bigserial NOT NULL,
    ranges_rent_id integer,
    lettype integer,
    la character varying,
    beds integer,
    soft_min numeric(10,2),
    soft_max numeric(10,2),
    hard_min numeric(10,2),
    hard_max numeric(10,2),
    start_year integer,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE la_sale_ranges (
    id bigserial NOT NULL,
    la character varying,
    bedrooms integer,
    soft_min numeric(10,2),
    soft_max numeric(10,2),
    start_year integer,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE legacy_users (
    id bigserial NOT NULL,
    old_user_id character varying,
    user_id bigint,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE local_authorities (
    id bigserial NOT NULL,
    code character varying NOT NULL,
    name character varying NOT NULL,
    start_date timestamp(6) without time zone NOT NULL,
    end_date timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    previous_location_only boolean DEFAULT false
);
CREATE TABLE local_authority_links (
    id bigserial NOT NULL,
    local_authority_id bigint,
    linked_local_authority_id bigint,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE location_deactivation_periods (
    id bigserial NOT NULL,
    deactivation_date timestamp(6) without time zone,
    reactivation_date timestamp(6) without time zone,
    location_id bigint,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE locations (
    id bigserial NOT NULL,
    location_code character varying,
    postcode character varying,
    scheme_id bigint NOT NULL,
    name character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    units integer,
    type_of_unit integer,
    old_id character varying,
    old_visible_id character varying,
    mobility_type character varying DEFAULT 'N',
    startdate timestamp(6) without time zone,
    location_admin_district character varying,
    confirmed boolean,
    is_la_inferred boolean,
    discarded_at timestamp(6) without time zone
);
CREATE TABLE log_validations (
    id bigserial NOT NULL,
    log_type character varying,
    log_id bigint,
    section_name character varying,
    validation_name character varying,
    description character varying,
    field character varying,
    error_message character varying,
    "case" character varying,
    other_validated_models character varying,
    collection_year character varying,
    validation_type character varying,
    hard_soft character varying,
    bulk_upload_specific boolean DEFAULT false,
    "from" timestamp(6) without time zone,
    "to" timestamp(6) without time zone,
    checked boolean,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE merge_request_organisations (
    id bigserial NOT NULL,
    merge_request_id integer,
    merging_organisation_id integer,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE merge_requests (
    id bigserial NOT NULL,
    requesting_organisation_id bigint,
    absorbing_organisation_id bigint,
    status integer,
    other_merging_organisations text,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    has_helpdesk_ticket boolean,
    helpdesk_ticket character varying,
    merge_date timestamp(6) without time zone,
    last_failed_attempt timestamp(6) without time zone,
    request_merged boolean,
    processing boolean,
    existing_absorbing_organisation boolean,
    discarded_at timestamp(6) without time zone,
    total_users integer,
    total_schemes integer,
    total_lettings_logs integer,
    total_sales_logs integer,
    total_stock_owners integer,
    total_managing_agents integer,
    requester_id bigint,
    signed_dsa boolean
);
CREATE TABLE notifications (
    id bigserial NOT NULL,
    title character varying,
    link_text character varying,
    page_content text,
    start_date timestamp(6) without time zone,
    end_date timestamp(6) without time zone,
    show_on_unauthenticated_pages boolean,
    show_additional_page boolean,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE organisation_name_changes (
    id bigserial NOT NULL,
    organisation_id bigint NOT NULL,
    name character varying NOT NULL,
    startdate timestamp(6) without time zone NOT NULL,
    discarded_at timestamp(6) without time zone,
    immediate_change boolean,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE organisation_relationships (
    id bigserial NOT NULL,
    child_organisation_id integer,
    parent_organisation_id integer,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE organisation_rent_periods (
    id bigserial NOT NULL,
    organisation_id bigint,
    rent_period integer,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE organisations (
    id bigserial NOT NULL,
    name character varying,
    phone character varying,
    provider_type integer,
    address_line1 character varying,
    address_line2 character varying,
    postcode character varying,
    holds_own_stock boolean,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    active boolean,
    old_association_type integer,
    software_supplier_id character varying,
    housing_management_system character varying,
    choice_based_lettings boolean,
    common_housing_register boolean,
    choice_allocation_policy boolean,
    cbl_proportion_percentage integer,
    enter_affordable_logs boolean,
    owns_affordable_logs boolean,
    housing_registration_no character varying,
    general_needs_units integer,
    supported_housing_units integer,
    unspecified_units integer,
    unspecified_units_last_year integer,
    old_org_id character varying,
    old_visible_id character varying,
    merge_date timestamp(6) without time zone,
    absorbing_organisation_id bigint,
    available_from timestamp(6) without time zone,
    discarded_at timestamp(6) without time zone,
    group_member boolean,
    group_member_id integer,
    "group" integer,
    profit_status integer,
    status_override character varying
);
CREATE TABLE read_marks (
    id bigserial NOT NULL,
    readable_type character varying NOT NULL,
    readable_id bigint,
    reader_type character varying NOT NULL,
    reader_id bigint,
    "timestamp" timestamp(6) without time zone NOT NULL
);
CREATE TABLE scheme_deactivation_periods (
    id bigserial NOT NULL,
    scheme_id bigint,
    deactivation_date timestamp(6) without time zone,
    reactivation_date timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE schemes (
    id bigserial NOT NULL,
    service_name character varying,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    primary_client_group character varying,
    secondary_client_group character varying,
    sensitive integer,
    scheme_type integer,
    registered_under_care_act integer,
    support_type integer,
    intended_stay character varying,
    has_other_client_group integer,
    arrangement_type character varying,
    owning_organisation_id bigint NOT NULL,
    old_id character varying,
    old_visible_id character varying,
    confirmed boolean,
    startdate timestamp(6) without time zone,
    total_units integer,
    discarded_at timestamp(6) without time zone
);
CREATE TABLE sessions (
    id bigserial NOT NULL,
    session_id character varying NOT NULL,
    data jsonb,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL
);
CREATE TABLE users (
    id bigserial NOT NULL,
    email character varying DEFAULT '' NOT NULL,
    encrypted_password character varying DEFAULT '' NOT NULL,
    reset_password_token character varying,
    reset_password_sent_at timestamp(6) without time zone,
    remember_created_at timestamp(6) without time zone,
    created_at timestamp(6) without time zone NOT NULL,
    updated_at timestamp(6) without time zone NOT NULL,
    name character varying,
    organisation_id bigint,
    sign_in_count integer DEFAULT 0 NOT NULL,
    current_sign_in_at timestamp(6) without time zone,
    last_sign_in_at timestamp(6) without time zone,
    current_sign_in_ip character varying,
    last_sign_in_ip character varying,
    role integer,
    old_user_id character varying,
    phone character varying,
    failed_attempts integer DEFAULT 0,
    unlock_token character varying,
    locked_at timestamp(6) without time zone,
    is_dpo boolean DEFAULT false,
    is_key_contact boolean DEFAULT false,
    second_factor_attempts_count integer DEFAULT 0,
    encrypted_otp_secret_key character varying,
    encrypted_otp_secret_key_iv character varying,
    encrypted_otp_secret_key_salt character varying,
    direct_otp character varying,
    direct_otp_sent_at timestamp(6) without time zone,
    totp_timestamp timestamp(6) without time zone,
    active boolean DEFAULT true,
    confirmation_token character varying,
    confirmed_at timestamp(6) without time zone,
    confirmation_sent_at timestamp(6) without time zone,
    unconfirmed_email character varying,
    initial_confirmation_sent boolean,
    reactivate_with_organisation boolean,
    discarded_at timestamp(6) without time zone,
    phone_extension character varying,
    values_updated_at timestamp(6) without time zone
);
CREATE TABLE versions (
    id bigserial NOT NULL,
    item_type character varying(191) NOT NULL,
    item_id bigint NOT NULL,
    event character varying NOT NULL,
    whodunnit character varying,
    object text,
    created_at timestamp(6) without time zone,
    object_changes text
);
