"""Each input that failed in the field, by the public reports of it, and the tests that hold what is right.

The reports are issues of other projects (owner/name#number, short: name#number) and an hour of use as a newcomer. A row
is a kind of input: its tests try the kind, not the one file that was reported. A name stands for all cases of a test.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import NamedTuple

import pytest

from tests import ROOT


class Report(NamedTuple):
    kind: str
    sources: str
    tests: tuple[str, ...]  # module (below tests/, without .py) and name of a test


REPORTS = [
    Report(
        "a tile of one datatake in two products with complementary pixels",
        "PlanetaryComputer#256, theia_download#28, sen2r#434",
        (
            "sources/test_replacement::test_two_products_of_one_datatake_complete_each_other",
            "sources/test_replacement::test_items_that_complete_each_other",
            "workflows/cloud_archive/test_build::test_parts_of_a_tile_are_both_made",
        ),
    ),
    Report(
        "buckets whose requester pays",
        "sentinelhub-py#43 #119, rio-tiler#52, stactools#267",
        (
            "storage/test_s3_refusals::test_requester_pays_is_said_with_every_request",
            "storage/test_s3_refusals::test_requester_pays_is_named_where_it_is_missing",
            "imagery/files/test_requester_pays::test_every_layout",
        ),
    ),
    Report(
        "footprints over the antimeridian",
        "earth-search#39, PlanetaryComputer#71 #296, eodag#114, stactools-sentinel2#121 #150",
        (
            "catalogue/test_antimeridian::test_found_on_both_sides_and_nowhere_else",
            "catalogue/test_antimeridian::test_items_come_out_in_the_form_of_rfc_7946",
            "catalogue/test_antimeridian::test_what_a_stac_api_answers_is_filtered",
            "catalogue/test_antimeridian::test_the_command_prints_bounding_boxes_of_rfc_7946",
        ),
    ),
    Report(
        "digital number 0 in some bands only",
        "eoreader#329, CoastSat#470, earth-search#77",
        (
            "imagery/test_reading::test_0_in_one_band_with_an_offset_is_no_data_of_it",
            "imagery/test_reading::test_0_in_one_band_without_an_offset_is_data",
            "xarray/bands/test_scaling::test_zero_is_no_data_of_a_band_where_there_is_an_offset",
        ),
    ),
    Report(
        "zips by another name, and two products in one zip",
        "getSpatialData#28, gdal#5505",
        (
            "imagery/products/test_roots::test_a_zip_is_known_by_its_first_bytes",
            "imagery/products/test_roots::test_two_products_in_a_zip_are_named",
        ),
    ),
    Report(
        "signatures that are missing or have expired, wrong keys",
        "rslearn#288, PlanetaryComputer#338 #344 #494, odc-stac#238",
        (
            "imagery/files/test_signing::test_signatures_that_expired_without_a_modifier",
            "imagery/files/test_signing::test_signatures_that_are_about_to_end_are_renewed",
            "imagery/files/test_signing::test_items_of_an_api_are_signed_as_pystac_client_does",
            "storage/test_s3_faults::test_credentials_that_have_expired_are_told",
            "network/test_retries::test_statuses_that_stay",
        ),
    ),
    Report(
        "tiles of the AWS buckets without an outline of their data",
        "stactools-sentinel2#193 #153",
        (
            "imagery/products/test_roots::test_tiles_without_an_outline_are_described_without_it",
            "workflows/test_catalogue::test_every_product_is_in_one_of_the_counts",
            "workflows/test_catalogue::test_bad_products_are_named_and_the_others_go_on",
        ),
    ),
    Report(
        "a server that fails for two seconds",
        "PlanetaryComputer#192, gdal#8922, rasterio#1877 #3254 #3275",
        (
            "imagery/files/test_http::test_busy_servers_are_asked_again",
            "imagery/files/test_http::test_what_failed_is_asked_again_later",
            "storage/test_s3_refusals::test_what_may_pass_is_asked_again_and_told",
            "network/test_retries::test_statuses_that_pass",
        ),
    ),
    Report(
        "metadata and pixels that disagree about the offset",
        "earth-search#71 #66 #9, cirrus-earth-search#33, stackstac#241",
        (
            "imagery/products/test_offsets::test_contradictions_are_named",
            "imagery/products/test_offsets::test_all_combinations_of_baseline_offset_and_flag",
            "imagery/products/test_offsets::test_an_offset_that_was_removed_before_is_seen_in_the_pixels",
            "workflows/cloud_mask/test_command::test_an_offset_that_pixels_contradict_is_told",
        ),
    ),
    Report(
        "probabilities in percent",
        "sentinel2-cloud-detector#92 #44, eoreader#174 #325",
        (
            "clouds/test_scales::test_percentages_of_earth_engine",
            "clouds/test_scales::test_percentages_as_the_cloud_of_a_shadow",
            "models/test_scales::test_uint8_that_ends_at_exactly_100_is_a_typed_warning",
            "sources/test_eopatches::test_probability_in_percent_by_its_name",
        ),
    ),
    Report(
        "reflectance in 8 or 16 bits",
        "sentinel2-cloud-detector#35",
        (
            "clouds/test_scales::test_sentinel_hub_s_8_and_16_bits",
            "models/test_scales::test_full_of_65535_and_steps_of_it",
            "models/test_scales::test_honest_reflectance_in_any_known_scale_is_refused_property",
        ),
    ),
    Report(
        "windows of time round each date of a download",
        "eo-learn#503",
        (
            (
                "sources/sentinelhub/test_windows::"
                "test_every_acquisition_is_in_the_frame_of_the_first_that_it_is_near_property"
            ),
        ),
    ),
    Report(
        "a cloud mask given as the mask of valid pixels",
        "eo-learn#198 #41",
        ("models/test_scales::test_masks_are_boolean", "models/test_series::test_boolean_masks_no_mask_and_others"),
    ),
    Report(
        "WGS 84 by another name",
        "sentinelhub-py#264",
        (
            "area/test_places::test_wgs_84_in_any_spelling",
            "area/test_places::test_a_given_crs_wins_over_one_without_a_code",
        ),
    ),
    Report(
        "areas over the antimeridian, at no place, in metres that are not the ground's",
        "cirrus-earth-search#29, geoprocessing#243, eo-learn#677, mapbender#1309",
        (
            "area/test_places::test_no_patch_is_lost_over_the_antimeridian",
            "area/test_places::test_boxes_over_the_antimeridian",
            "area/test_places::test_boxes_at_no_place",
            "area/test_places::test_metres_that_are_not_the_grounds_are_refused",
        ),
    ),
    Report(
        "an index of a band below 0",
        "sen2r#264, eoreader#79",
        ("test_series::test_index_of_a_negative_band",),
    ),
    Report(
        "pickled EOPatches of older eo-learn",
        "eo-learn#582",
        ("eopatches/test_load::test_pickles_of_older_eo_learn_are_refused",),
    ),
    Report(
        "the same instant in another zone of time",
        "FLOODPY#81, CoastSat#129",
        (
            "sources/test_sample::test_adds_to_an_eopatch_of_the_same_instant_in_another_zone",
            "sources/test_eopatches::test_timestamps_with_a_time_zone_become_utc",
        ),
    ),
    Report(
        "a patch of ours read by eo-learn",
        "a newcomer",
        (
            "eopatches/test_plain::test_eo_learn_reads_what_we_save",
            "eopatches/test_plain::test_eo_learn_reads_what_we_save_in_part",
            "eopatches/test_plain::test_we_read_what_either_saves",
        ),
    ),
    Report(
        "the line that installs an extra",
        "a newcomer",
        (
            "test_extras::test_whoever_lacks_an_extra_is_told_the_line",
            "end_to_end/test_bad_settings::test_extra_that_is_missing",
        ),
    ),
    Report(
        "whoever comes from s2cloudless",
        "a newcomer",
        (
            "s2cloudless/test_cloud_detector::test_signature",
            "s2cloudless/test_suspect::test_is_answered_as_by_s2cloudless_with_a_warning",
        ),
    ),
    Report(
        "chunked numbers of odc-stac",
        "a newcomer",
        (
            "xarray/test_odc_stac::test_a_lazy_load_becomes_a_lazy_patch",
            "xarray/test_eopatches::test_a_task_takes_the_patch_of_a_dataset_of_digital_numbers",
        ),
    ),
    Report(
        "a failed patch of run_batch",
        "a newcomer",
        (
            "workflows/batch/test_run::test_failures_are_a_warning_of_the_caller_that_can_be_made_an_error",
            "workflows/batch/test_result::test_repr_is_a_line",
            "workflows/batch/test_result::test_raise_on_failure",
            "workflows/batch/test_result::test_the_warning_names_the_reason_and_the_logs",
        ),
    ),
    Report(
        "a strip of false shadow along the sunward edge",
        "a newcomer",
        ("models/clouds/shadows/test_large::test_no_strip_of_false_shadow_along_the_sunward_edge",),
    ),
    Report(
        "a full tile at 10 m",
        "a newcomer",
        (
            "workflows/product_masks/test_product::test_a_large_product_is_masked_in_strips_as_a_large_frame_is",
            "models/clouds/shadows/test_large::test_strips_make_no_difference",
        ),
    ),
    Report(
        "a place as a string",
        "a newcomer",
        ("end_to_end/test_places::test_of_eopatches",),
    ),
    Report(
        "the box of a polygon, which is no whole number of pixels",
        "a newcomer",
        (
            "sources/test_scenes::test_a_box_is_snapped_to_whole_pixels",
            "sources/test_bbox::test_what_cannot_be_snapped",
        ),
    ),
    Report(
        "a shadow mask beside a product",
        "a newcomer",
        ("catalogue/test_discovery::test_masks_of_several_places_complete_each_other",),
    ),
    Report(
        "output into a file",
        "a newcomer",
        (
            "workflows/batch/test_result::test_a_script_without_a_terminal_has_lines_on_stderr",
            "workflows/land_cover/test_command::test_a_run_without_a_terminal_has_lines_and_styles_on_request",
        ),
    ),
    Report(
        "several mistakes in one configuration, and typing errors",
        "a newcomer",
        (
            "area/test_places::test_all_that_is_wrong_with_a_crs_is_said_at_once",
            "workflows/land_cover/test_problems::test_keys_and_how_they_fit_together_at_once",
            "workflows/land_cover/test_problems::test_files_that_are_wrong_are_told_at_once",
        ),
    ),
    Report(
        "a configuration of one's own area",
        "a newcomer",
        (
            "workflows/test_new_config::test_it_is_a_configuration_of_that_area",
            "workflows/test_new_config::test_an_area_outside_of_the_embedded_scene",
        ),
    ),
    Report(
        "array functions and an offset that was left in",
        "a newcomer",
        (
            "models/test_scales::test_array_functions_check_arrays_of_any_number_of_axes",
            "models/clouds/test_plausibility::test_an_offset_left_in_is_told_with_the_cure",
        ),
    ),
    Report(
        "output into a pipe that closes",
        "a newcomer",
        ("workflows/test_console::test_no_command_complains_of_a_closed_pipe",),
    ),
    Report(
        "a folder of products",
        "a newcomer",
        (
            "workflows/cloud_mask/test_command::test_a_folder_of_products_is_each_of_them",
            "imagery/products/test_roots::test_a_folder_of_products_says_who_takes_it",
        ),
    ),
    Report(
        "masks over a scene in QGIS",
        "a newcomer",
        (
            "export/test_styles::test_transparent_classes",
            "workflows/cloud_mask/test_command::test_styles_of_qgis_are_an_option",
        ),
    ),
    Report(
        "Ctrl-C while workers start",
        "a newcomer",
        ("workflows/batch/test_interrupt::test_an_interrupt_while_workers_start_shows_no_stack",),
    ),
    Report(
        "warnings of dependencies at import",
        "a newcomer",
        ("house/test_import::test_no_import_shows_a_warning",),
    ),
]


@cache
def names_in(module: str) -> frozenset[str]:
    """Names of the tests of a module, those of classes too."""
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.kind)
def test_every_report_has_its_tests(report: Report) -> None:
    for test in report.tests:
        module, name = test.split("::")
        assert name in names_in(module), test
